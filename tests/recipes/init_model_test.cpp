#include "recipes/init_model.hpp"

#include <ATen/ATen.h>

#include "cli/inspect.hpp"
#include "io/json.hpp"
#include "networks/clip_text.hpp"
#include "networks/latent_classifier.hpp"
#include "networks/unet.hpp"
#include "networks/vae.hpp"
#include "recipes/model_recipe.hpp"
#include "recipes/part_recipe.hpp"
#include "sdtorch/pipeline.hpp"
#include "support/captured_stderr.hpp"
#include "support/drawing.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/golden.hpp"
#include "support/temp_dir.hpp"
#include "weights/bind.hpp"
#include "weights/model_folder.hpp"

using sdtorch::ErrorKind;
using sdtorch::init_model;
namespace fs = std::filesystem;

namespace {

constexpr const char* unet_file = "unet/diffusion_pytorch_model.safetensors";

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

TEST_CASE("tiny models bind to their networks and give finite, varied numbers", "[recipes]") {
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
    const at::Tensor eps =
        unet.forward({.sample = at::randn({1, 4, 8, 8}), .timestep = at::full({1}, 500.0), .context = context});
    const at::Tensor picture = vae.decode(at::randn({1, 4, 8, 8}) / 0.18215);
    CHECK(picture.sizes() == at::IntArrayRef({1, 3, 64, 64}));
    for (const at::Tensor& output : {context, eps, picture}) {
      const double spread = output.std().item<double>();
      CHECK(spread > 0.1);
      CHECK(spread < 10);
    }
  }
}

TEST_CASE("tiny models of other languages draw", "[recipes]") {
  for (const char* family : {"alt", "alt-m18", "japanese"}) {
    INFO(family);
    const TempDir temp;
    init_model({.family = family, .target = temp / "m"});
    const auto networks = networks_of(sdtorch::describe_model((temp / "m").string(), ""));
    const auto& tokenizer = networks.model.description.text_encoders.at(0).tokenizer;
    CHECK(tokenizer.encode("猫 a кот") == tokenizer.encode(" 猫  a кот "));
    CHECK(tokenizer.encode("猫と犬").size() == 4);
    const auto draw = [&](const char* prompt) {
      return draw_tensors(networks, {.prompt = prompt, .steps = 1}).pictures;
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

TEST_CASE("a tiny folder with CLIP's vocabulary and a file hold the same weights", "[recipes]") {
  const TempDir temp;
  const auto draw = [](const std::filesystem::path& path) {
    const auto networks = networks_of(sdtorch::describe_model(path.string(), ""));
    const sdtorch::Request request{.prompt = "a cat", .steps = 1, .width = 64, .height = 64, .sampler = "euler"};
    return draw_tensors(networks, request).pictures;
  };
  init_model({.vocabulary = "clip", .target = temp / "folder"});
  init_model({.layout = "single", .target = temp / "file.safetensors"});
  CHECK(at::equal(draw(temp / "folder"), draw(temp / "file.safetensors")));
}

TEST_CASE("files tell of zero terminal SNR where the family has it, and else do not", "[recipes]") {
  const TempDir temp;
  for (const auto& [family, zero] : {std::pair("lcm", false), std::pair("sd2-zero-snr", true)}) {
    const std::filesystem::path file = temp / (std::string(family) + ".safetensors");
    init_model({.family = family, .layout = "single", .target = file});
    const std::string report = sdtorch::inspect_text({.path = file});
    CHECK((report.find("zero terminal SNR") != std::string::npos) == zero);
    CHECK((report.find("predicts v_prediction") != std::string::npos) == zero);
  }
}

TEST_CASE("what steers a model can be had alone, fits its family, and is named by inspect", "[recipes]") {
  struct Row {
    const char *part, *model, *name;
    sdtorch::Family family;
  };
  using sdtorch::Family;
  const TempDir temp;
  for (const Row& row : {Row{"controlnet-sd1", "sd1", "a ControlNet", Family::sd1},
                         Row{"controlnet-sd2", "sd2", "a ControlNet", Family::sd2},
                         Row{"controlnet-sdxl", "sdxl", "a ControlNet", Family::sdxl},
                         Row{"t2i-adapter-sd1", "sd1", "a T2I-Adapter", Family::sd1},
                         Row{"t2i-adapter-light-sd1", "sd1", "a T2I-Adapter", Family::sd1},
                         Row{"t2i-adapter-sdxl", "sdxl", "a T2I-Adapter", Family::sdxl}}) {
    INFO(row.part);
    const fs::path model = temp / row.model, net = temp / row.part;
    if (!fs::exists(model)) init_model({.family = row.model, .target = model});
    init_model({.family = row.part, .target = net});
    init_model({.family = row.part, .layout = "single", .target = net.string() + ".safetensors"});
    init_model({.family = row.part, .layout = "ckpt", .target = net.string() + ".ckpt"});
    const sdtorch::ModelDescription described = sdtorch::describe_model(model.string(), "");
    for (const char* suffix : {"", ".safetensors", ".ckpt"}) {
      const std::string path = net.string() + suffix;
      const auto control = sdtorch::describe_control(path, described);
      CHECK_NOTHROW(sdtorch::load_control(control, described, at::kFloat, at::kCPU));
      const auto report = nlohmann::json::parse(sdtorch::inspect_text({.path = path, .json = true}));
      CHECK(report["description"].get<std::string>().starts_with(row.name));
      REQUIRE(report.contains("findings"));
      CHECK(report["findings"][0]["value"] == sdtorch::name_of(row.family));
      CHECK(sdtorch::inspect_text({.path = path}).find("\n  picture              colour") != std::string::npos);
    }
    const sdtorch::PartRecipe full = sdtorch::part_recipe(row.part, "full");
    const auto unet = sdtorch::UNetConfig::from_json(sdtorch::model_recipe(row.model, "full").unet, "unet");
    if (full.kind == sdtorch::PartKind::controlnet) {
      CHECK_NOTHROW(require_fit(sdtorch::ControlNetConfig::from_json(full.config, "c"), unet, 8, "c"));
    } else {
      CHECK_NOTHROW(require_fit(sdtorch::T2IAdapterConfig::from_json(full.config, "c"), unet, 8, "c"));
    }
  }
}

TEST_CASE("a classifier can be had alone, and guides", "[recipes]") {
  const TempDir temp;
  init_model({.target = temp / "m"});
  init_model({.family = "classifier", .dtype = "fp16", .target = temp / "classifier"});
  const std::string report = sdtorch::inspect_text({.path = temp / "classifier"});
  CHECK(report.find("a classifier over noisy latents (LatentClassifier)") != std::string::npos);
  CHECK(report.find("first, second, third") != std::string::npos);
  const auto pipeline = sdtorch::Pipeline::open(
      {.model = (temp / "m").string(), .classifier = (temp / "classifier").string(), .device = "cpu"});
  const sdtorch::Request request{.prompt = "a", .steps = 2, .width = 64, .height = 64, .sampler = "euler"};
  sdtorch::Request led = request, other = request;
  led.class_label = "third";
  other.class_label = "first";
  led.classifier_scale = other.classifier_scale = 1000;
  CHECK(pipeline.draw(led).image.pixels != pipeline.draw(other).image.pixels);
  const auto& full = sdtorch::part_recipe("classifier", "full").config;
  CHECK_NOTHROW(sdtorch::LatentClassifierConfig::from_json(full, "c"));
}

TEST_CASE("a model for depth comes with an estimator, and one can be had alone", "[recipes]") {
  const TempDir temp;
  init_model({.family = "depth", .target = temp / "depth"});
  init_model({.family = "depth-estimator", .layout = "bin", .target = temp / "estimator"});
  init_model({.family = "depth", .layout = "single", .target = temp / "depth.safetensors"});
  const std::string picture = golden_path("image_to_image/first.png").string();
  const sdtorch::Request request{.prompt = "a", .steps = 2, .init_img = picture};
  const auto drawn = [&](const char* model, const fs::path& estimator) {
    sdtorch::ModelDescription described = sdtorch::describe_model((temp / model).string(), "");
    if (!estimator.empty()) described.depth_estimator = sdtorch::describe_depth_estimator(estimator);
    at::Tensor depth;
    sdtorch::Observer observer;
    observer.on_tensor = [&](std::string_view name, const at::Tensor& tensor) {
      if (name == "depth") depth = tensor;
    };
    draw_tensors(networks_of(std::move(described)), request, 1, observer);
    return depth;
  };
  const at::Tensor depth = drawn("depth", "");
  CHECK(depth.std().item<double>() > 0.3);
  CHECK(at::equal(depth, drawn("depth.safetensors", "")));
  CHECK(at::equal(depth, drawn("depth.safetensors", temp / "estimator")));
  CHECK(at::equal(depth, drawn("depth.safetensors", temp / "depth")));

  const auto report = nlohmann::json::parse(sdtorch::inspect_text({.path = temp / "depth", .json = true}));
  CHECK(report["components"]["depth_estimator"]["parameters"].get<int64_t>() > 10'000);
  const auto says = [&](const char* path, const char* text) {
    CHECK(sdtorch::inspect_text({.path = temp / path}).find(text) != std::string::npos);
  };
  says("depth", "depth                estimated");
  says("depth/depth_estimator", ": a depth estimator (DPTForDepthEstimation)");
  says("depth/depth_estimator", "type                 DPT-Hybrid");
  says("depth/feature_extractor", ": an image processor (DPTImageProcessor)");
  says("estimator", ": a depth estimator (DPTForDepthEstimation)");
  CHECK_NOTHROW(sdtorch::DepthConfig::from_json(sdtorch::part_recipe("depth-estimator", "full").config, "d"));
}

TEST_CASE("models that draw from a picture are written for every family that has them", "[recipes]") {
  using sdtorch::Family, sdtorch::Task;
  struct Row {
    const char* family;
    Task task;
    bool xl;
  };
  for (const Row& row :
       {Row{"inpainting", Task::inpainting, false}, Row{"sd2-inpainting", Task::inpainting, false},
        Row{"sdxl-inpainting", Task::inpainting, true}, Row{"instruct-pix2pix", Task::instruct_pix2pix, false},
        Row{"sdxl-instruct-pix2pix", Task::instruct_pix2pix, true}}) {
    INFO(row.family);
    const TempDir temp;
    init_model({.family = row.family, .target = temp / "m"});
    init_model({.family = row.family, .layout = "single", .target = temp / "m.safetensors"});
    for (const char* name : {"m", "m.safetensors"}) {
      const sdtorch::ModelDescription model = sdtorch::describe_model((temp / name).string(), "");
      CHECK(model.task == row.task);
      CHECK(model.xl.has_value() == row.xl);
      CHECK_NOTHROW(sdtorch::load_components(model, at::kCPU, at::kFloat));
    }
  }
  const TempDir temp;
  init_model({.family = "lcm-sdxl", .target = temp / "m"});
  CHECK(sdtorch::describe_model((temp / "m").string(), "").unet.time_cond_proj_dim == 256);
}

TEST_CASE("a pipeline that was saved with what steers it opens, and the net is named by its folder", "[recipes]") {
  const TempDir temp;
  init_model({.target = temp / "m"});
  init_model({.family = "controlnet-sd1", .target = temp / "m" / "controlnet"});
  auto index = sdtorch::read_json_file(temp / "m" / "model_index.json", ErrorKind::bug);
  index["_class_name"] = "StableDiffusionControlNetPipeline";
  index["controlnet"] = {"diffusers", "ControlNetModel"};
  write_file(temp / "m" / "model_index.json", index.dump());
  sdtorch::ModelDescription model;
  const std::string said = stderr_of([&] { model = sdtorch::describe_model((temp / "m").string(), ""); });
  CHECK(said.find("--control-net " + (temp / "m" / "controlnet").string()) != std::string::npos);
  CHECK_NOTHROW(sdtorch::describe_control((temp / "m" / "controlnet").string(), model));
  const auto report = nlohmann::json::parse(sdtorch::inspect_text({.path = temp / "m", .json = true}));
  CHECK(report["components"]["controlnet"]["parameters"].get<int64_t>() > 10'000);
}

TEST_CASE("a VAE or a U-Net can be had alone, and folders of components are named", "[recipes]") {
  const TempDir temp;
  init_model({.layout = "ckpt", .only = "vae", .target = temp / "vae.ckpt"});
  init_model({.layout = "single", .only = "unet", .target = temp / "unet.safetensors"});
  init_model({.target = temp / "model"});
  CHECK(sdtorch::inspect_text({.path = temp / "vae.ckpt"}).find("holds only vae") != std::string::npos);
  CHECK(sdtorch::inspect_text({.path = temp / "unet.safetensors"}).find("holds only unet") != std::string::npos);
  CHECK_NOTHROW(sdtorch::describe_model((temp / "model").string(), (temp / "vae.ckpt").string()));
  const auto named = [&](const char* component, const char* name) {
    CHECK(sdtorch::inspect_text({.path = temp / "model" / component}).find(name) != std::string::npos);
  };
  named("unet", "a component (UNet2DConditionModel)");
  named("text_encoder", "a component (CLIPTextModel)");
  named("scheduler", "a scheduler (PNDMScheduler)");
  named("tokenizer", "a tokenizer (CLIPTokenizer)");
}

TEST_CASE("choices that contradict each other make nothing", "[recipes]") {
  const TempDir temp;
  const auto refused = [&](const char* message, sdtorch::InitModelOptions options) {
    if (options.target.empty()) options.target = temp / "m";
    check_error(ErrorKind::usage, message, [&] { init_model(options); });
    CHECK_FALSE(std::filesystem::exists(options.target));
  };
  refused("--only: a folder is a whole model", {.only = "vae"});
  refused("--only: 'clip' is not a choice", {.layout = "single", .only = "clip"});
  refused("--vocabulary: only tiny models in folders", {.layout = "single", .vocabulary = "bytes"});
  refused("--vocabulary: japanese has its own", {.family = "japanese", .vocabulary = "clip"});
  refused("--dtype: bf16, but a variant's files are named fp16", {.layout = "variant", .dtype = "bf16"});
  refused("--layout: ckpt makes a PyTorch checkpoint", {.layout = "ckpt", .target = temp / "m.safetensors"});
  refused("--layout: single makes a .safetensors file", {.layout = "single", .target = temp / "m.ckpt"});
  refused("--ema: controlnet-sd1 is a part", {.family = "controlnet-sd1", .layout = "single", .ema = true});
  refused("--vocabulary: t2i-adapter-sd1 is a part", {.family = "t2i-adapter-sd1", .vocabulary = "clip"});
  refused("--only: controlnet-sd1 is a part", {.family = "controlnet-sd1", .layout = "single", .only = "vae"});
  refused("--layout: a file has no place for", {.family = "depth-estimator", .layout = "single"});
  refused("--layout: a classifier is a folder", {.family = "classifier", .layout = "ckpt"});
  refused("--ema: a VAE's file has no moving averages", {.layout = "single", .only = "vae", .ema = true});
}

TEST_CASE("the seed decides the weights", "[recipes]") {
  const TempDir temp;
  init_model({.seed = 7, .target = temp / "a"});
  init_model({.seed = 7, .target = temp / "b"});
  init_model({.seed = 8, .target = temp / "c"});
  CHECK(file_contents(temp / "a" / unet_file) == file_contents(temp / "b" / unet_file));
  CHECK(file_contents(temp / "a" / unet_file) != file_contents(temp / "c" / unet_file));
}

TEST_CASE("weights are stored in the type asked for", "[recipes]") {
  const TempDir temp;
  init_model({.dtype = "bf16", .target = temp / "m"});
  for (const auto& [key, weight] : sdtorch::load_component(temp / "m" / "unet")) {
    CHECK(weight.tensor.scalar_type() == at::kBFloat16);
  }
}

TEST_CASE("a model is never written over what is there, nor from wrong choices", "[recipes]") {
  const TempDir temp;
  write_file(temp / "full" / "x.txt", "x");
  check_error(ErrorKind::output, "full: is there already and not empty",
              [&] { init_model({.target = temp / "full"}); });
  const fs::path new_folder = temp / "new";
  check_error(ErrorKind::usage, "--family: 'sd3' is not a choice",
              [&] { init_model({.family = "sd3", .target = new_folder}); });
  check_error(ErrorKind::usage, "--size: 'big' is not a choice",
              [&] { init_model({.size = "big", .target = new_folder}); });
  check_error(ErrorKind::usage, "--dtype: 'fp64' is not a choice",
              [&] { init_model({.dtype = "fp64", .target = new_folder}); });
  CHECK(entries_in(temp.path()) == 1);
  CHECK(entries_in(temp / "full") == 1);
}

TEST_CASE("full recipes are configurations of the networks", "[recipes]") {
  const sdtorch::ModelRecipe sd1 = sdtorch::model_recipe("sd1", "full"), sd2 = sdtorch::model_recipe("sd2", "full");
  CHECK(sdtorch::UNetConfig::from_json(sd1.unet, "unet").cross_attention_dim == 768);
  CHECK(sdtorch::UNetConfig::from_json(sd2.unet, "unet").cross_attention_dim == 1024);
  CHECK(sdtorch::ClipTextConfig::from_json(sd1.text_encoders.at("text_encoder"), "text").hidden_size == 768);
  CHECK(sdtorch::ClipTextConfig::from_json(sd2.text_encoders.at("text_encoder"), "text").hidden_size == 1024);
  CHECK(sdtorch::VaeConfig::from_json(sd2.vae, "vae").factor() == 8);
  CHECK(sd2.scheduler.at("prediction_type") == "v_prediction");
  CHECK_FALSE(sd1.scheduler.contains("timestep_spacing"));
}
