// What stands in a VAE's place: tiny autoencoders, other VAEs, decoders alone; and tiles (scripts/goldens/vae.py).
#include <filesystem>

#include "pipeline/decode.hpp"
#include "pipeline/encode.hpp"
#include "pipeline/metadata.hpp"
#include "support/catch.hpp"
#include "support/drawing.hpp"
#include "support/errors.hpp"
#include "support/families.hpp"
#include "support/files.hpp"
#include "support/golden.hpp"
#include "support/golden_pictures.hpp"
#include "support/temp_dir.hpp"
#include "support/tolerance.hpp"
#include "weights/component_files.hpp"
#include "weights/ldm_keys.hpp"

using namespace sdtorch;
namespace fs = std::filesystem;

namespace {

using NamedTensors = std::map<std::string, at::Tensor>;

const std::string tiny_folder = golden_path("vae/tiny").string();
const std::string fixed_folder = golden_path("vae/fixed").string();
const std::string sd1_folder = golden_path("pipeline/models/sd1").string();

PipelineNetworks networks_with(const std::string& model, const std::string& vae, const std::string& taesd,
                               at::ScalarType dtype = at::kFloat) {
  ModelDescription described = describe_model(model, vae);
  if (!taesd.empty()) described.tiny_vae = describe_tiny_vae(taesd, described);
  return networks_of(std::move(described), dtype);
}

/// A latent, decoded.
at::Tensor decoded_by(const std::string& vae, const std::string& taesd, const std::string& model = sd1_folder) {
  const at::Tensor latent = at::arange(4 * 6 * 5).reshape({1, 4, 6, 5}).sin() * 2;
  return decode(networks_with(model, vae, taesd).model, latent).pictures;
}

NamedTensors tensors_of(const fs::path& folder) {
  NamedTensors tensors;
  for (const auto& [key, weight] : load_component(folder)) tensors[key] = weight.tensor.clone();
  return tensors;
}

/// Under the original code's names.
NamedTensors in_original_names(const NamedTensors& tensors, const std::string& prefix) {
  KeySet keys;
  for (const auto& [key, tensor] : tensors) keys.insert(key);
  NamedTensors made;
  for (const auto& [key, recipe] : vae_to_ldm(keys)) {
    made[prefix + key] = make_foreign(recipe, [&](const std::string& ours) { return tensors.at(ours); }).contiguous();
  }
  return made;
}

/// A tiny autoencoder's as its own repository numbers them: the decoder's from 1.
NamedTensors in_taesd_names(const NamedTensors& tensors, const std::string& half, const std::string& prefix) {
  NamedTensors made;
  const std::string start = half + ".layers.";
  for (const auto& [key, tensor] : tensors) {
    if (!key.starts_with(start)) continue;
    const std::string rest = key.substr(start.size());
    const size_t dot = rest.find('.');
    const int64_t number = std::stoll(rest.substr(0, dot)) + (half == "decoder" ? 1 : 0);
    made[prefix + std::to_string(number) + rest.substr(dot)] = tensor;
  }
  return made;
}

void refused_at_description(ErrorKind kind, const std::string& message, const std::string& vae,
                            const std::string& taesd = "") {
  check_error(kind, message, [&] {
    static_cast<void>(Pipeline::check({.model = sd1_folder, .vae = vae, .taesd = taesd, .device = "cpu"}));
  });
}

}  // namespace

TEST_CASE("tiny autoencoders and other VAEs draw what diffusers draws with them", "[pipeline]") {
  std::map<std::string, PipelineNetworks> loaded;
  check_golden_pictures(
      "vae",
      [&](const nlohmann::json& one) -> const PipelineNetworks& {
        const std::string name = one.at("model");
        const std::string taesd =
            one.contains("taesd") ? golden_path("vae/" + one.at("taesd").get<std::string>()).string() : "";
        PipelineNetworks& networks = loaded[name + taesd];
        if (!networks.model.unet) {
          networks = networks_with(folder_of_family(name).string(), taesd.empty() ? fixed_folder : "", taesd);
        }
        return networks;
      },
      {{"init-img", "image_to_image"}, {"taesd", "vae"}, {"vae", "vae"}});
}

TEST_CASE("a tiny autoencoder is read from a folder, a file, and its own repository's files", "[pipeline]") {
  const TempDir folder;
  const at::Tensor expected = decoded_by("", tiny_folder);
  CHECK(relative_error(expected, decoded_by("", "")) > 0.05);
  const NamedTensors tensors = tensors_of(tiny_folder);
  const auto decodes_alike = [&](const NamedTensors& saved) {
    const fs::path file = folder / "file" / "taesd.safetensors";
    fs::create_directories(file.parent_path());
    save_safetensors(file, saved);
    CHECK(at::equal(decoded_by("", file.string()), expected));
  };
  CHECK(at::equal(decoded_by("", tiny_folder + "/diffusion_pytorch_model.safetensors"), expected));
  decodes_alike(tensors);
  decodes_alike(in_taesd_names(tensors, "decoder", ""));
  for (const auto& [encoder, decoder] :
       {std::pair("taesd_encoder.", "taesd_decoder."), std::pair("encoder.", "decoder.")}) {
    NamedTensors both = in_taesd_names(tensors, "decoder", decoder);
    both.merge(in_taesd_names(tensors, "encoder", encoder));
    decodes_alike(both);
  }
}

TEST_CASE("a picture is encoded by the first that has an encoder", "[pipeline]") {
  const TempDir folder;
  const at::Tensor picture = at::rand({1, 3, 48, 40}) * 2 - 1;
  const auto latent = [&](const PipelineNetworks& networks) {
    Noise noise({7});
    return encode_pictures(networks.model, {picture}, noise);
  };
  const at::Tensor own = latent(networks_with(sd1_folder, "", "")),
                   fixed = latent(networks_with(sd1_folder, fixed_folder, ""));
  const at::Tensor tiny = latent(networks_with(sd1_folder, "", tiny_folder));
  CHECK(relative_error(tiny, own) > 0.05);
  CHECK(relative_error(fixed, own) > 0.05);
  const std::string decoder = (folder / "taesd_decoder.safetensors").string();
  save_safetensors(decoder, in_taesd_names(tensors_of(tiny_folder), "decoder", ""));
  CHECK(at::equal(latent(networks_with(sd1_folder, "", decoder)), own));
  CHECK(at::equal(latent(networks_with(sd1_folder, fixed_folder, decoder)), fixed));
  NamedTensors half = tensors_of(fixed_folder);
  std::erase_if(half, [](const auto& item) {
    return item.first.starts_with("encoder.") || item.first == "quant_conv.weight" || item.first == "quant_conv.bias";
  });
  const std::string half_file = (folder / "half.safetensors").string();
  save_safetensors(half_file, half);
  CHECK(at::equal(latent(networks_with(sd1_folder, half_file, "")), own));
}

TEST_CASE("a VAE is read under either code's names, whole or its decoder alone", "[pipeline]") {
  const TempDir folder;
  const NamedTensors tensors = tensors_of(fixed_folder);
  const fs::path file = folder / "vae.safetensors", beside = folder / "config.json";
  // The scale is told by a config alone: without one it is the model's own.
  nlohmann::json own_scale = nlohmann::json::parse(file_contents(fixed_folder + "/config.json"));
  own_scale["scaling_factor"] = 0.18215;
  write_file(folder / "scaled" / "config.json", own_scale.dump());
  fs::copy(fixed_folder + "/diffusion_pytorch_model.safetensors", folder / "scaled");
  const at::Tensor expected = decoded_by((folder / "scaled").string(), ""), fixed = decoded_by(fixed_folder, "");
  CHECK(relative_error(expected, fixed) > 0.01);

  std::vector<NamedTensors> layouts = {tensors, in_original_names(tensors, ""),
                                       in_original_names(tensors, "first_stage_model.")};
  NamedTensors in_whole;
  for (const auto& [key, tensor] : tensors) in_whole["vae." + key] = tensor;
  layouts.push_back(in_whole);
  for (NamedTensors layout : layouts) {
    INFO(layout.begin()->first);
    save_safetensors(file, layout);
    fs::remove(beside);
    CHECK(at::equal(decoded_by(file.string(), ""), expected));
    fs::copy(fixed_folder + "/config.json", beside);
    CHECK(at::equal(decoded_by(file.string(), ""), fixed));
    std::erase_if(layout, [](const auto& item) {
      return item.first.find("encoder.") != std::string::npos || item.first.find("quant_conv.") == 0;
    });
    save_safetensors(file, layout);
    CHECK(at::equal(decoded_by(file.string(), ""), fixed));
  }
  // A decoder of another shape is what its shapes say.
  CHECK(describe_model(golden_path("pipeline/models/sd2").string(), file.string()).vae.block_out_channels ==
        std::vector<int64_t>{8, 8, 16, 16});
  // Without the convolution before it, it is the model's own that is before it.
  NamedTensors decoder;
  for (const auto& [key, tensor] : tensors) {
    if (key.starts_with("decoder.")) decoder[key] = tensor;
  }
  save_safetensors(file, decoder);
  NamedTensors completed = decoder;
  for (const auto& [key, tensor] : tensors_of(fs::path(sd1_folder) / "vae")) {
    if (key.starts_with("post_quant_conv.")) completed[key] = tensor;
  }
  const at::Tensor alone = decoded_by(file.string(), "");
  save_safetensors(file, completed);
  CHECK(at::equal(alone, decoded_by(file.string(), "")));
}

TEST_CASE("a VAE whose config says that fp16 holds it decodes in fp16", "[pipeline]") {
  const TempDir folder;
  const std::string xl = folder_of_family("xl").string();
  const auto type_of = [&](const std::string& vae) { return networks_with(xl, vae, "", at::kHalf).model.vae_dtype; };
  CHECK(type_of("") == at::kFloat);
  CHECK(type_of(fixed_folder) == at::kHalf);
  CHECK(type_of(fixed_folder + "/diffusion_pytorch_model.safetensors") == at::kHalf);
  save_safetensors(folder / "sdxl_vae.safetensors", in_original_names(tensors_of(fixed_folder), ""));
  CHECK(type_of((folder / "sdxl_vae.safetensors").string()) == at::kFloat);
  fs::copy(fixed_folder + "/config.json", folder / "config.json");
  CHECK(type_of((folder / "sdxl_vae.safetensors").string()) == at::kHalf);
}

TEST_CASE("what is no VAE, or no tiny one, is refused by its name", "[pipeline]") {
  const TempDir folder;
  const std::string taesd = tiny_folder + "/diffusion_pytorch_model.safetensors";
  refused_at_description(ErrorKind::model, "is a tiny autoencoder (TAESD), not a whole VAE; give it with --taesd",
                         taesd);
  refused_at_description(ErrorKind::model, "_class_name: AutoencoderTiny is no whole VAE; give it with --taesd",
                         tiny_folder);
  refused_at_description(ErrorKind::model, "give it with --vae", "", fixed_folder);
  refused_at_description(ErrorKind::model, "no tiny autoencoder (TAESD); give it with --vae", "",
                         fixed_folder + "/diffusion_pytorch_model.safetensors");

  const std::string consistency = (folder / "decoder.safetensors").string();
  save_safetensors(consistency,
                   NamedTensors{{"decoder_unet.conv_in.weight", at::zeros({4, 7, 3, 3})},
                                {"encoder.conv_in.weight", at::zeros({4, 3, 3, 3})},
                                {"encoder.down_blocks.0.resnets.0.conv1.weight", at::zeros({4, 4, 3, 3})}});
  refused_at_description(ErrorKind::model, "consistency decoder", consistency);
  write_file(folder / "consistency" / "config.json", R"({"_class_name": "ConsistencyDecoderVAE"})");
  refused_at_description(ErrorKind::model, "consistency decoder", (folder / "consistency").string());

  const std::string encoder = (folder / "taesd_encoder.safetensors").string();
  save_safetensors(encoder, in_taesd_names(tensors_of(tiny_folder), "encoder", ""));
  refused_at_description(ErrorKind::model, "is the encoder of a tiny autoencoder", "", encoder);
  NamedTensors wide = in_taesd_names(tensors_of(tiny_folder), "decoder", "");
  wide["1.weight"] = at::zeros({8, 16, 3, 3});
  save_safetensors(folder / "taesd3_decoder.safetensors", wide);
  refused_at_description(ErrorKind::model, "decodes latents of 16 channels, and those of sd1 have 4", "",
                         (folder / "taesd3_decoder.safetensors").string());
  wide["40.weight"] = at::zeros({8});
  for (const char* flag : {"--vae", "--taesd"}) {
    const std::string missing = (folder / "taesd_encodr.safetensors").string();
    const bool is_vae = std::string(flag) == "--vae";
    refused_at_description(ErrorKind::usage, std::string(flag) + ": ", is_vae ? missing : "", is_vae ? "" : missing);
    refused_at_description(ErrorKind::usage, "did you mean taesd_encoder.safetensors?", is_vae ? missing : "",
                           is_vae ? "" : missing);
  }
}

TEST_CASE("a picture drawn in tiles is the whole one's, and says so", "[pipeline]") {
  const Pipeline pipeline = Pipeline::open({.device = "cpu", .dtype = "fp32"});
  Request request{
      .prompt = "a red house", .steps = 2, .width = 160, .height = 128, .vae_tiling = true, .vae_tile_size = 64};
  const Picture tiled = pipeline.draw(request);
  const std::string text = parameters_text(pipeline.model().choice(), tiled);
  CHECK_THAT(text, Catch::Contains("VAE tiling: true, VAE tile size: 64"));
  CHECK((parse_parameters(text, "picture.png").vae_tile_size == 64));
  request.vae_tiling = false;
  request.vae_tile_size.reset();
  const Picture whole = pipeline.draw(request);
  CHECK_THAT(parameters_text(pipeline.model().choice(), whole), !Catch::Contains("tiling"));
  int most = 0;
  for (size_t i = 0; i < whole.image.pixels.size(); ++i) {
    most = std::max(most, std::abs(whole.image.pixels[i] - tiled.image.pixels[i]));
  }
  CHECK(most <= 1);
}

TEST_CASE("tiles that cannot be are refused, and those with seams said", "[pipeline]") {
  const CheckedModel model = Pipeline::check({.model = sd1_folder, .device = "cpu"});
  const auto refused = [&](const Request& request, const std::string& message) {
    check_error(ErrorKind::usage, message, [&] { static_cast<void>(model.check(request)); });
  };
  refused({.vae_tile_size = 256}, "--vae-tile-size: there are no tiles; give --vae-tiling");
  refused({.vae_tile_overlap = 32}, "--vae-tile-overlap: there are no tiles");
  refused({.vae_tiling = true, .vae_tile_size = 64, .vae_tile_overlap = 64},
          "--vae-tile-overlap: 64 pixels are no less");
  refused({.vae_tiling = true, .vae_tile_size = 32}, "--vae-tile-size: tiles of 32 pixels are too small");
  refused({.vae_tiling = true, .vae_tile_size = 0}, "--vae-tile-size");
  CHECK(model.check({.vae_tiling = true}).warnings.empty());
  const auto warnings = model.check({.vae_tiling = true, .vae_tile_overlap = 8}).warnings;
  REQUIRE(warnings.size() == 1);
  CHECK_THAT(warnings[0], Catch::Contains("--vae-tile-overlap 8: the VAE sees across"));
}

TEST_CASE("steps are shown as the tiny autoencoder decodes them, and the picture says that it drew it", "[pipeline]") {
  const ModelChoice choice{.model = sd1_folder, .taesd = tiny_folder, .device = "cpu", .dtype = "fp32"};
  const Pipeline pipeline = Pipeline::open(choice);
  Image shown;
  Observer observer;
  observer.on_step = [&](const Step& step) { shown = pipeline.decode(step.latent).front(); };
  const Picture drawn = pipeline.draw({.prompt = "a house", .steps = 2, .sampler = "ddim"}, observer);
  CHECK(shown.pixels == drawn.image.pixels);
  CHECK_THAT(parameters_text(choice, drawn), Catch::Contains("VAE Decoder: TAESD, TAESD: tiny"));
}

TEST_CASE("as in diffusers' pipelines a VAE's shift_factor is not applied", "[pipeline]") {
  const TempDir folder;
  const auto shifted = [&](const std::string& from, const std::string& name) {
    fs::copy(from, folder / name, fs::copy_options::recursive);
    nlohmann::json config = nlohmann::json::parse(file_contents(folder / name / "config.json"));
    config["shift_factor"] = 0.4;
    write_file(folder / name / "config.json", config.dump());
    return (folder / name).string();
  };
  CHECK(at::equal(decoded_by(shifted(fixed_folder, "vae"), ""), decoded_by(fixed_folder, "")));
  CHECK(at::equal(decoded_by("", shifted(tiny_folder, "tiny")), decoded_by("", tiny_folder)));
}
