// Models in one file: recognised, and drawn with as the folders that they could be.
#include "weights/single_file.hpp"

#include <nlohmann/json.hpp>

#include "cli/inspect.hpp"
#include "io/atomic_file.hpp"
#include "recipes/init_model.hpp"
#include "support/catch.hpp"
#include "support/drawing.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/temp_dir.hpp"

using namespace sdtorch;
namespace fs = std::filesystem;

namespace {

using Tensors = std::map<std::string, at::Tensor>;

/// A tiny model's file as named tensors, with a vocabulary of bytes, for which the folder `tokenizer` lies beside it.
Tensors tiny_tensors(const TempDir& folder, const std::string& family) {
  constexpr int64_t bytes = 514;
  init_model({.family = family, .layout = "single", .target = folder / "whole.safetensors"});
  if (!fs::exists(folder / "plain")) {
    init_model({.target = folder / "plain"});
    fs::copy(folder / "plain" / "tokenizer", folder / "tokenizer");
    // What the family's tokenizer says is for the file to say.
    fs::remove(folder / "tokenizer" / "tokenizer_config.json");
    fs::remove(folder / "tokenizer" / "special_tokens_map.json");
  }
  Tensors tensors;
  for (const auto& [key, weight] : load_safetensors(folder / "whole.safetensors")) {
    const bool tokens = key.ends_with("token_embedding.weight");
    tensors[key] = (tokens ? weight.tensor.narrow(0, 0, bytes) : weight.tensor).clone();
  }
  fs::remove(folder / "whole.safetensors");
  return tensors;
}

/// The folder that the file could have been converted from.
void write_folder(const SingleFile& file, const fs::path& root) {
  nlohmann::json index = file.index();
  write_file(root / "model_index.json", index.dump());
  write_file(root / "scheduler" / "scheduler_config.json", file.scheduler().dump());
  for (const char* component : {"unet", "vae", "text_encoder", "text_encoder_2"}) {
    if (!file.has(component)) continue;
    write_file(root / component / "config.json", file.config(component).dump());
    Tensors weights;
    for (const auto& [key, weight] : file.weights(component)) weights[key] = weight.tensor.contiguous();
    save_safetensors(root / component / "model.safetensors", weights);
  }
  for (const char* tokenizer : {"tokenizer", "tokenizer_2"}) {
    if (!index.contains(tokenizer) || index[tokenizer][1].is_null()) continue;
    const TokenizerPlace place = file.tokenizer(tokenizer);
    fs::copy(place.folder, root / tokenizer);
    write_file(root / tokenizer / "special_tokens_map.json", nlohmann::json{{"pad_token", place.pad_token}}.dump());
  }
}

at::Tensor draw(const fs::path& model, const std::string& prediction) {
  const PipelineNetworks networks = networks_of(describe_model(model.string(), "", prediction));
  const Request request{.prompt = "a red house!", .steps = 2, .width = 64, .height = 64, .sampler = "euler"};
  return draw_tensors(networks, request).pictures;
}

void check_drawn_alike(const TempDir& folder, const std::string& family, const std::string& prediction) {
  const fs::path file = folder / (family + ".safetensors");
  save_safetensors(file, tiny_tensors(folder, family));
  write_folder(SingleFile(file, prediction), folder / family);
  CHECK(at::equal(draw(file, prediction), draw(folder / family, "")));
}

}  // namespace

TEST_CASE("a file and the folder that it could be draw the same bits", "[pipeline]") {
  const TempDir folder;
  check_drawn_alike(folder, "sd1", "");
  check_drawn_alike(folder, "sd2", "v_prediction");
}

TEST_CASE("an SDXL file and its folder draw the same bits", "[pipeline]") {
  const TempDir folder;
  check_drawn_alike(folder, "sdxl", "");
  const SingleFile file(folder / "sdxl.safetensors", "");
  CHECK(file.config("vae")["scaling_factor"] == 0.13025);
  CHECK(file.config("unet")["addition_time_embed_dim"] == 32);
}

TEST_CASE("a distilled SDXL's file is drawn with as its folder is", "[pipeline]") {
  const TempDir folder;
  for (const char* family : {"ssd-1b", "segmind-vega"}) {
    INFO(family);
    check_drawn_alike(folder, family, "");
    // The folder's weights have diffusers' names and the config that was published, the file's the original names.
    init_model({.family = family, .vocabulary = "clip", .target = folder / "published"});
    init_model({.family = family, .layout = "single", .target = folder / "whole.safetensors"});
    const ModelDescription published = describe_model((folder / "published").string(), "");
    const ModelDescription whole = describe_model((folder / "whole.safetensors").string(), "");
    CHECK(whole.unet.mid_block == MidBlock::residual);
    for (size_t i = 0; i < published.unet.levels.size(); ++i) {
      CHECK(whole.unet.levels[i].down_transformers == published.unet.levels[i].down_transformers);
      CHECK(whole.unet.levels[i].up_transformers == published.unet.levels[i].up_transformers);
    }
    CHECK(at::equal(draw(folder / "published", ""), draw(folder / "whole.safetensors", "")));
    fs::remove_all(folder / "published");
    fs::remove(folder / "whole.safetensors");
  }
}

TEST_CASE("a VAE without its encoder decodes, in a file and in a folder", "[pipeline]") {
  const TempDir folder;
  const Tensors whole = tiny_tensors(folder, "sd1");
  const fs::path file = folder / "m.safetensors",
                 vae = folder / "plain" / "vae" / "diffusion_pytorch_model.safetensors";
  save_safetensors(file, whole);
  const at::Tensor of_file = draw(file, ""), of_folder = draw(folder / "plain", "");
  Tensors whole_vae;
  for (const auto& [key, weight] : load_safetensors(vae)) whole_vae[key] = weight.tensor.clone();
  for (const bool quant_conv : {true, false}) {
    const auto belongs_to_encoder = [&](const std::string& key) {
      return key.starts_with("encoder.") || (!quant_conv && key.starts_with("quant_conv."));
    };
    Tensors tensors, own, half;
    for (const auto& [key, tensor] : whole) {
      const std::string prefix = "first_stage_model.";
      if (!key.starts_with(prefix) || !belongs_to_encoder(key.substr(prefix.size()))) tensors[key] = tensor;
    }
    save_safetensors(file, tensors);
    CHECK(at::equal(draw(file, ""), of_file));
    for (const auto& [key, tensor] : whole_vae) {
      if (!belongs_to_encoder(key)) own[key] = tensor;
      if (!belongs_to_encoder(key) || key.starts_with("encoder.mid")) half[key] = tensor;
    }
    save_safetensors(vae, half);
    check_error(ErrorKind::model, "encoder.conv_in.weight", [&] { draw(folder / "plain", ""); });
    save_safetensors(vae, own);
    CHECK(at::equal(draw(folder / "plain", ""), of_folder));
    check_error(ErrorKind::model, "has no encoder", [&] {
      load_components(describe_model((folder / "plain").string(), ""), at::kCPU, at::kFloat)
          .vae->encode(at::zeros({1, 3, 64, 64}));
    });
  }
}

TEST_CASE("a prediction is told by names, metadata, settings beside the file, or --prediction", "[pipeline]") {
  const TempDir folder;
  const fs::path file = folder / "m.safetensors";
  const Tensors tensors = tiny_tensors(folder, "sd2");
  const auto prediction = [&] { return SingleFile(file, "").scheduler().at("prediction_type").get<std::string>(); };
  save_safetensors(file, tensors);
  check_error(ErrorKind::model, "--prediction", prediction);
  CHECK(SingleFile(file, "epsilon").scheduler()["_class_name"] == "PNDMScheduler");
  CHECK(SingleFile(file, "v_prediction").scheduler()["_class_name"] == "DDIMScheduler");
  CHECK(SingleFile(file, "v_prediction").config("unet")["sample_size"] == 96);
  CHECK(inspect_text({.path = file}).find("give --prediction") != std::string::npos);

  write_file(folder / "m.yaml", "model:\n  params:\n    parameterization: \"v\"\n");
  CHECK(prediction() == "v_prediction");
  save_safetensors(file, tensors, {{"modelspec.prediction_type", "epsilon"}});
  CHECK(prediction() == "epsilon");
  // As ComfyUI's saver writes it.
  for (const auto& [said, means] : {std::pair("v", "v_prediction"), std::pair("epsilon", "epsilon")}) {
    save_safetensors(file, tensors, {{"modelspec.predict_key", said}});
    CHECK(prediction() == means);
  }
  // Free spellings, and what kohya's trainer writes.
  const std::vector<std::tuple<const char*, const char*, const char*>> spellings = {
      {"modelspec.prediction_type", " V-Prediction ", "v_prediction"},
      {"modelspec.predict_key", "vpred", "v_prediction"},
      {"modelspec.predict_key", "original_sample", "sample"},
      {"ss_v_parameterization", "True", "v_prediction"},
      {"ss_v_parameterization", "true", "v_prediction"},
      {"ss_v_parameterization", "1", "v_prediction"},
      {"ss_v_parameterization", "False", "epsilon"},
      {"ss_v_parameterization", "0", "epsilon"}};
  for (const auto& [key, said, means] : spellings) {
    INFO(key << ": " << said);
    save_safetensors(file, tensors, {{key, said}});
    CHECK(prediction() == means);
  }
  save_safetensors(file, tensors, {{"ss_v_parameterization", "perhaps"}});
  check_error(ErrorKind::model, "ss_v_parameterization is 'perhaps'", prediction);
  Tensors marked = tensors;
  marked["v_pred"] = at::empty({0});
  marked["ztsnr"] = at::empty({0});
  save_safetensors(file, marked);
  CHECK(prediction() == "v_prediction");
  CHECK(SingleFile(file, "").scheduler()["rescale_betas_zero_snr"] == true);
}

TEST_CASE("models of EDM's noise levels are refused by name", "[pipeline]") {
  const TempDir folder;
  const fs::path file = folder / "m.safetensors";
  const Tensors plain = tiny_tensors(folder, "sdxl");
  for (const auto& [key, model] : {std::pair("edm_vpred.sigma_max", "CosXL"), std::pair("edm_vpred.sigma_min", "CosXL"),
                                   std::pair("edm_mean", "Playground"), std::pair("edm_std", "Playground")}) {
    INFO(key);
    Tensors tensors = plain;
    tensors[key] = at::full({1, 4, 1, 1}, 80.0);
    save_safetensors(file, tensors);
    check_error(ErrorKind::model, model, [&] { SingleFile(file, ""); });
    check_error(ErrorKind::model, key, [&] { SingleFile(file, "v_prediction"); });
  }
  Tensors bare = plain;
  bare["edm_vpred"] = at::empty({0});
  save_safetensors(file, bare);
  check_error(ErrorKind::model, "CosXL", [&] { SingleFile(file, ""); });
  save_safetensors(file, plain, {{"modelspec.architecture", "stable-diffusion-xl-v1-edm"}});
  check_error(ErrorKind::model, "stable_diffusion_xl_v1_edm", [&] { SingleFile(file, ""); });
  Tensors wide = plain;
  wide["denoiser.sigmas"] = at::linspace(0.002, 80, 1000);
  save_safetensors(file, wide);
  check_error(ErrorKind::model, "denoiser.sigmas reach 80", [&] { SingleFile(file, ""); });
  wide["denoiser.sigmas"] = at::linspace(0.03, 14.61, 1000);
  save_safetensors(file, wide);
  CHECK_NOTHROW(SingleFile(file, ""));
}

TEST_CASE("buffers that mean nothing are passed over in every encoder, in files and folders", "[pipeline]") {
  const TempDir folder;
  const fs::path file = folder / "m.safetensors";
  Tensors tensors = tiny_tensors(folder, "sdxl");
  const at::Tensor number = at::scalar_tensor(4.6), positions = at::arange(77).unsqueeze(0);
  for (const char* encoder : {"conditioner.embedders.0.", "conditioner.embedders.0.transformer.",
                              "conditioner.embedders.1.", "conditioner.embedders.1.model."}) {
    const std::string prefix(encoder);
    tensors[prefix + "text_model.embeddings.position_ids"] = positions;
    tensors[prefix + "embeddings.position_ids"] = positions;
    tensors[prefix + "position_ids"] = positions;
    tensors[prefix + "token_type_ids"] = positions;
    tensors[prefix + "logit_scale"] = number;
    tensors[prefix + "attn_mask"] = at::zeros({77, 77});
    tensors[prefix + "bn.num_batches_tracked"] = at::zeros({}, at::kLong);
  }
  save_safetensors(file, tensors);
  CHECK(SingleFile(file, "").recognition().unused.empty());
  CHECK_NOTHROW(load_components(describe_model(file.string(), ""), at::kCPU, at::kFloat));

  init_model({.family = "sdxl", .target = folder / "folder"});
  for (const char* encoder : {"text_encoder", "text_encoder_2"}) {
    const fs::path weights = folder / "folder" / encoder / "model.safetensors";
    Tensors with_buffers;
    for (const auto& [key, weight] : load_safetensors(weights))
      with_buffers["text_model." + key] = weight.tensor.clone();
    if (const auto head = with_buffers.extract("text_model.text_projection.weight")) {
      with_buffers["text_projection.weight"] = head.mapped();
    }
    with_buffers["text_model.embeddings.position_ids"] = positions;
    with_buffers["position_ids"] = positions;
    with_buffers["logit_scale"] = number;
    with_buffers["attn_mask"] = at::zeros({77, 77});
    save_safetensors(weights, with_buffers);
  }
  CHECK_NOTHROW(load_components(describe_model((folder / "folder").string(), ""), at::kCPU, at::kFloat));
}

TEST_CASE("the original code's settings and a scheduler's config beside a file are followed", "[pipeline]") {
  const TempDir folder;
  const fs::path file = folder / "m.safetensors";
  save_safetensors(file, tiny_tensors(folder, "sd2"));
  write_file(folder / "m.yaml",
             "model:\n  target: ldm.models.diffusion.ddpm.LatentDiffusion\n  params:\n    linear_start: 0.001\n"
             "    linear_end: 0.0120\n    timesteps: 1000\n    scale_factor: 0.2\n");
  const nlohmann::json scheduler = SingleFile(file, "").scheduler();
  CHECK(scheduler["prediction_type"] == "epsilon");
  CHECK(scheduler["beta_start"] == 0.001);
  CHECK(scheduler["beta_end"] == 0.012);
  CHECK(SingleFile(file, "").config("vae")["scaling_factor"] == 0.2);
  const std::string report = inspect_text({.path = file});
  CHECK(report.find("m.yaml beside the file: linear_start") != std::string::npos);
  CHECK(report.find("linear_end") == std::string::npos);  // the family's

  fs::remove(folder / "m.yaml");
  const nlohmann::json own = {{"_class_name", "EulerDiscreteScheduler"},
                              {"beta_end", 0.03},
                              {"prediction_type", "v_prediction"},
                              {"timestep_spacing", "trailing"}};
  write_file(folder / "m.json", own.dump());
  CHECK(SingleFile(file, "").scheduler() == own);
  CHECK(SingleFile(file, "epsilon").scheduler()["prediction_type"] == "epsilon");
}

TEST_CASE("a prediction that nobody knows is said, not passed over", "[pipeline]") {
  const TempDir folder;
  const fs::path file = folder / "m.safetensors";
  save_safetensors(file, tiny_tensors(folder, "sdxl"), {{"modelspec.prediction_type", "flow"}});
  check_error(ErrorKind::model,
              "modelspec.prediction_type is 'flow', which is no prediction known here; give --predict",
              [&] { SingleFile(file, "").scheduler(); });
  CHECK(SingleFile(file, "epsilon").scheduler()["prediction_type"] == "epsilon");
  CHECK(inspect_text({.path = file}).find("'flow'") != std::string::npos);
}

TEST_CASE("models that draw from more than a text are recognised, loaded, inspected, and ask for what they need",
          "[pipeline]") {
  const TempDir folder;
  const std::map<Task, std::string> asked = {
      {Task::inpainting, "--mask"}, {Task::depth, "--init-img"}, {Task::instruct_pix2pix, "--init-img"}};
  for (const auto& [family, task] : {std::pair("inpainting", Task::inpainting), std::pair("depth", Task::depth),
                                     std::pair("instruct-pix2pix", Task::instruct_pix2pix)}) {
    INFO(family);
    const fs::path file = folder / (std::string(family) + ".safetensors");
    save_safetensors(file, tiny_tensors(folder, family));
    const ModelDescription model = describe_model(file.string(), "");
    CHECK(model.task == task);
    CHECK_NOTHROW(load_components(model, at::kCPU, at::kFloat));
    check_error(ErrorKind::usage, asked.at(task), [&] { resolve(model, Request{}); });
    const auto report = nlohmann::json::parse(inspect_text({.path = file, .json = true}));
    CHECK(report["kind"] == "model");
    CHECK(report["task"] == name_of(task));
  }
}

TEST_CASE("a checkpoint's checksums are held against what is used, when it is", "[pipeline]") {
  const TempDir folder;
  const fs::path file = folder / "m.ckpt";
  init_model({.layout = "ckpt", .target = file});
  std::string bytes = file_contents(file);
  bytes[bytes.size() / 2] ^= 1;
  write_file(file, bytes);
  const SingleFile damaged(file, "");
  std::vector<std::string> told;
  for (const char* component : {"unet", "vae", "text_encoder"}) {
    try {
      damaged.weights(component);
    } catch (const Error& error) {
      told.push_back(error.what());
    }
  }
  REQUIRE(told.size() == 1);
  CHECK(told[0].find(file.string() + ": ") == 0);
  CHECK(told[0].find("/data/") != std::string::npos);
  CHECK(told[0].find("the data are damaged: their CRC-32 is") != std::string::npos);
  check_error(ErrorKind::model, "CRC-32", [&] { load_weights(file); });
}

TEST_CASE("moving averages and unknown keys are reported and left", "[pipeline]") {
  const TempDir folder;
  const fs::path file = folder / "m.safetensors";
  Tensors tensors = tiny_tensors(folder, "sd1");
  tensors["model_ema.diffusion_modelout2bias"] = at::ones(4);
  tensors["alphas_cumprod"] = at::ones(1000);
  tensors["somebody.wrote.this"] = at::ones(1);
  save_safetensors(file, tensors);
  const auto report = nlohmann::json::parse(inspect_text({.path = file, .json = true}));
  CHECK(report["ema"] == 1);
  CHECK(report["unused"] == nlohmann::json({"somebody.wrote.this"}));
  CHECK(report["components"]["unet"]["types"] == nlohmann::json({"fp32"}));
  CHECK_NOTHROW(load_components(describe_model(file.string(), ""), at::kCPU, at::kFloat));

  // Inside a component that is read, nothing is left over.
  tensors["model.diffusion_model.extra.weight"] = at::ones(1);
  save_safetensors(file, tensors);
  CHECK(inspect_text({.path = file}).find("\n  model.diffusion_model.extra.weight\n") != std::string::npos);
  check_error(ErrorKind::model, "model.diffusion_model.extra.weight",
              [&] { load_components(describe_model(file.string(), ""), at::kCPU, at::kFloat); });
}

TEST_CASE("parts of models, and what is none, are called what they are", "[pipeline]") {
  const TempDir folder;
  Tensors vae, unet;
  for (const auto& [key, tensor] : tiny_tensors(folder, "sd1")) {
    const std::string vae_prefix = "first_stage_model.";
    if (key.starts_with(vae_prefix)) vae[key.substr(vae_prefix.size())] = tensor;
    if (key.starts_with("model.diffusion_model.")) unet[key] = tensor;
  }
  save_safetensors(folder / "vae.safetensors", vae);
  save_safetensors(folder / "unet.safetensors", unet);
  save_safetensors(folder / "lora.safetensors", {{"lora_unet_down.lora_down.weight", at::ones(1)}});
  const auto open = [&](const char* name) { return [&, name] { describe_model((folder / name).string(), ""); }; };
  check_error(ErrorKind::model, "holds U-Net and no text encoder", open("unet.safetensors"));
  check_error(ErrorKind::model, "holds VAE and no U-Net", open("vae.safetensors"));
  check_error(ErrorKind::model, "is a LoRA (kohya's names), not a whole model", open("lora.safetensors"));
  CHECK(inspect_text({.path = folder / "lora.safetensors"}).find("a LoRA") != std::string::npos);
  CHECK(inspect_text({.path = folder / "vae.safetensors"}).find("holds only vae") != std::string::npos);
  // Another VAE: a file of its own.
  const ModelDescription other = describe_model((folder / "plain").string(), (folder / "vae.safetensors").string());
  CHECK_NOTHROW(load_components(other, at::kCPU, at::kFloat));
}
