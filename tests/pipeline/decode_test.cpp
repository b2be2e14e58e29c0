#include "pipeline/decode.hpp"

#include <filesystem>

#include "io/json.hpp"
#include "support/catch.hpp"
#include "support/drawing.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/golden.hpp"
#include "support/temp_dir.hpp"
#include "weights/model_folder.hpp"

using namespace sdtorch;
namespace fs = std::filesystem;

namespace {

/// The tiny model with a VAE whose first convolution, `scale` times its own, is put right by the norms behind it.
fs::path model_with_vae(const TempDir& folder, double scale, bool force_upcast) {
  fs::path model = folder / "model";
  fs::copy(golden_path("pipeline/models/sd1"), model, fs::copy_options::recursive);
  std::map<std::string, at::Tensor> weights;
  for (const auto& [key, weight] : load_component(model / "vae")) weights[key] = weight.tensor.clone();
  weights.at("decoder.conv_in.weight").mul_(scale);
  save_safetensors(model / "vae" / "diffusion_pytorch_model.safetensors", weights);
  nlohmann::json config = load_config(model / "vae" / "config.json");
  config["force_upcast"] = force_upcast;
  write_file(model / "vae" / "config.json", config.dump());
  return model;
}

Drawn draw_house(const PipelineNetworks& networks) { return draw_tensors(networks, {.prompt = "a house", .steps = 1}); }

}  // namespace

TEST_CASE("a picture that overflows fp16 is decoded again in fp32, and said", "[pipeline]") {
  const TempDir folder;
  const std::string path = model_with_vae(folder, 1e5, /*force_upcast=*/false).string();
  const PipelineNetworks half = networks_of(describe_model(path, ""), at::kHalf);
  const Drawn generated = draw_house(half);
  CHECK(generated.again_in_fp32 == std::vector<bool>{true});
  CHECK(at::isfinite(generated.pictures).all().item<bool>());
  CHECK(at::equal(draw_house(half).pictures, generated.pictures));

  const Drawn expected = draw_house(networks_of(describe_model(path, "")));
  CHECK(expected.again_in_fp32 == std::vector<bool>{false});
  CHECK((generated.pictures - expected.pictures).abs().mean().item<double>() < 0.05);
}

TEST_CASE("force_upcast decodes in fp32 from the start", "[pipeline]") {
  const TempDir folder;
  const std::string path = model_with_vae(folder, 1e5, /*force_upcast=*/true).string();
  const PipelineNetworks half = networks_of(describe_model(path, ""), at::kHalf);
  CHECK(half.model.vae_dtype == at::kFloat);
  CHECK(draw_house(half).again_in_fp32 == std::vector<bool>{false});
}

TEST_CASE("numbers that are not finite are never a picture", "[pipeline]") {
  const TempDir folder;
  const std::string path = model_with_vae(folder, std::numeric_limits<double>::quiet_NaN(), true).string();
  const PipelineNetworks networks = networks_of(describe_model(path, ""));
  check_error(ErrorKind::non_finite, "not finite", [&] { draw_house(networks); });
}

TEST_CASE("a VAE from elsewhere takes the place of the model's own", "[pipeline]") {
  const TempDir folder;
  const std::string tiny = golden_path("pipeline/models/sd1").string();
  const fs::path other = model_with_vae(folder, 2, true);
  const auto picture = [&](const std::string& vae) {
    return draw_house(networks_of(describe_model(tiny, vae))).pictures;
  };
  const at::Tensor own = picture("");
  const at::Tensor changed = picture((other / "vae").string());
  CHECK_FALSE(at::equal(own, changed));
  CHECK(at::equal(changed, picture(other.string())));
  CHECK(at::equal(changed, picture((other / "vae" / "diffusion_pytorch_model.safetensors").string())));
}
