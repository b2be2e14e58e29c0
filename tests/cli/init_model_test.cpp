#include "sdtorch/cli/init_model.hpp"

#include <ATen/ATen.h>

#include "sdtorch/cli/inspect.hpp"
#include "sdtorch/cli/model_recipe.hpp"
#include "sdtorch/networks/clip_text.hpp"
#include "sdtorch/networks/unet.hpp"
#include "sdtorch/networks/vae.hpp"
#include "sdtorch/pipeline/generate.hpp"
#include "sdtorch/weights/model_folder.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/temp_dir.hpp"

using sdtorch::ErrorKind;
using sdtorch::init_model;
namespace fs = std::filesystem;

namespace {

constexpr const char* unet_weights = "unet/diffusion_pytorch_model.safetensors";

template <class Network, class Config>
Network load(const fs::path& folder) {
  const fs::path file = folder / "config.json";
  Network network(Config::from_json(sdtorch::load_config(file), file.string()));
  sdtorch::bind_weights(network, sdtorch::load_component(folder), at::kFloat, at::kCPU, folder.filename().string());
  return network;
}

uintmax_t size_of_tree(const fs::path& folder) {
  uintmax_t size = 0;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) size += entry.file_size();
  }
  return size;
}

}  // namespace

TEST_CASE("tiny models bind to their networks and give finite, varied numbers", "[cli]") {
  for (const char* family : {"sd1", "sd2"}) {
    INFO(family);
    const TempDir temp;
    const fs::path root = temp / "m";
    init_model({.family = family, .target = root});
    CHECK_NOTHROW(sdtorch::ModelFolder(root));
    CHECK(size_of_tree(root) < 12'000'000);

    auto text = load<sdtorch::ClipTextModel, sdtorch::ClipTextConfig>(root / "text_encoder");
    auto unet = load<sdtorch::UNet2DConditionModel, sdtorch::UNetConfig>(root / "unet");
    auto vae = load<sdtorch::AutoencoderKL, sdtorch::VaeConfig>(root / "vae");
    const at::NoGradGuard no_grad;
    at::manual_seed(0);
    const at::Tensor context = text.forward(at::arange(77).unsqueeze(0));
    const at::Tensor eps = unet.forward(at::randn({1, 4, 8, 8}), at::full({1}, 500.0), context);
    const at::Tensor picture = vae.decode(at::randn({1, 4, 8, 8}) / 0.18215);
    CHECK(picture.sizes() == at::IntArrayRef({1, 3, 64, 64}));
    for (const at::Tensor& output : {context, eps, picture}) {
      const double spread = output.std().item<double>();
      CHECK(spread > 0.1);
      CHECK(spread < 10);
    }
  }
}

TEST_CASE("tiny models of other languages draw", "[cli]") {
  for (const char* family : {"alt", "alt-m18", "japanese"}) {
    INFO(family);
    const TempDir temp;
    init_model({.family = family, .target = temp / "m"});
    sdtorch::Components model =
        sdtorch::load_components(sdtorch::describe_model((temp / "m").string(), ""), at::kCPU, at::kFloat);
    const auto& tokenizer = model.description.text_encoders.at(0).tokenizer;
    CHECK(tokenizer.encode("猫 a кот") == tokenizer.encode(" 猫  a кот "));
    CHECK(tokenizer.encode("猫と犬").size() == 4);
    const auto draw = [&](const char* prompt) {
      const sdtorch::Request request{.prompt = prompt, .steps = 1};
      return sdtorch::generate(model, sdtorch::resolve(model.description, request), 0, 1).pictures;
    };
    const at::Tensor cat = draw("赤い猫"), dog = draw("青い犬");
    CHECK(cat.isfinite().all().item<bool>());
    const std::string report = sdtorch::inspect_text({.path = temp / "m"});
    const char* name = std::string_view(family) == "japanese" ? "Japanese Stable Diffusion" : "AltDiffusion";
    CHECK(report.find(name) != std::string::npos);
    CHECK(!at::equal(cat, dog));

    check_error(ErrorKind::usage, "--layout",
                [&] { init_model({.family = family, .layout = "single", .target = temp / "m.safetensors"}); });
  }
}

TEST_CASE("the seed decides the weights", "[cli]") {
  const TempDir temp;
  init_model({.seed = 7, .target = temp / "a"});
  init_model({.seed = 7, .target = temp / "b"});
  init_model({.seed = 8, .target = temp / "c"});
  CHECK(file_contents(temp / "a" / unet_weights) == file_contents(temp / "b" / unet_weights));
  CHECK(file_contents(temp / "a" / unet_weights) != file_contents(temp / "c" / unet_weights));
}

TEST_CASE("weights are stored in the type asked for", "[cli]") {
  const TempDir temp;
  init_model({.dtype = "bf16", .target = temp / "m"});
  for (const auto& [key, weight] : sdtorch::load_component(temp / "m" / "unet")) {
    CHECK(weight.tensor.scalar_type() == at::kBFloat16);
  }
}

TEST_CASE("a model is never written over what is there, nor from wrong choices", "[cli]") {
  const TempDir temp;
  write_file(temp / "full" / "x.txt", "x");
  check_error(ErrorKind::output, "full: is there already and not empty",
              [&] { init_model({.target = temp / "full"}); });
  const fs::path new_folder = temp / "new";
  check_error(ErrorKind::usage, "--family: 'sd3' is not known",
              [&] { init_model({.family = "sd3", .target = new_folder}); });
  check_error(ErrorKind::usage, "--size: 'big' is not known",
              [&] { init_model({.size = "big", .target = new_folder}); });
  check_error(ErrorKind::usage, "--dtype: 'fp64' is not known",
              [&] { init_model({.dtype = "fp64", .target = new_folder}); });
  CHECK(entries_in(temp.path()) == 1);
  CHECK(entries_in(temp / "full") == 1);
}

TEST_CASE("full recipes are configurations of the networks", "[cli]") {
  const sdtorch::ModelRecipe sd1 = sdtorch::model_recipe("sd1", "full"), sd2 = sdtorch::model_recipe("sd2", "full");
  CHECK(sdtorch::UNetConfig::from_json(sd1.unet, "unet").cross_attention_dim == 768);
  CHECK(sdtorch::UNetConfig::from_json(sd2.unet, "unet").cross_attention_dim == 1024);
  CHECK(sdtorch::ClipTextConfig::from_json(sd1.text_encoders.at("text_encoder"), "text").hidden_size == 768);
  CHECK(sdtorch::ClipTextConfig::from_json(sd2.text_encoders.at("text_encoder"), "text").hidden_size == 1024);
  CHECK(sdtorch::VaeConfig::from_json(sd2.vae, "vae").factor() == 8);
  CHECK(sd2.scheduler.at("prediction_type") == "v_prediction");
  CHECK_FALSE(sd1.scheduler.contains("timestep_spacing"));
}
