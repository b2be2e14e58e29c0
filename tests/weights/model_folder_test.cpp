#include "weights/model_folder.hpp"

#include "support/captured_stderr.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/golden.hpp"
#include "support/temp_dir.hpp"
#include "weights/pipeline_kind.hpp"

using sdtorch::ErrorKind;
using sdtorch::load_component;
using sdtorch::ModelFolder;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

json good_index() {
  return {{"_class_name", "StableDiffusionPipeline"},
          {"_diffusers_version", "0.42.1"},
          {"scheduler", {"diffusers", "PNDMScheduler"}},
          {"text_encoder", {"transformers", "CLIPTextModel"}},
          {"tokenizer", {"transformers", "CLIPTokenizer"}},
          {"unet", {"diffusers", "UNet2DConditionModel"}},
          {"vae", {"diffusers", "AutoencoderKL"}},
          {"safety_checker", {nullptr, nullptr}},
          {"feature_extractor", {"transformers", "CLIPImageProcessor"}},
          {"image_encoder", {nullptr, nullptr}},
          {"requires_safety_checker", true}};
}

void write_model(const fs::path& root, const json& index) {
  for (const char* name : {"scheduler", "text_encoder", "tokenizer", "unet", "vae"})
    fs::create_directories(root / name);
  write_file(root / "model_index.json", index.dump());
}

void save(const fs::path& file, const std::string& key, double value) {
  fs::create_directories(file.parent_path());
  sdtorch::save_safetensors(file, {{key, at::full(1, value)}});
}

double value(const fs::path& component) { return load_component(component).at("t").tensor.item<double>(); }

}  // namespace

TEST_CASE("a text-to-image folder opens", "[weights]") {
  const TempDir folder;
  write_model(folder / "m", good_index());
  const ModelFolder model(folder / "m");
  CHECK(model.component("unet") == folder / "m" / "unet");
  CHECK_NOTHROW(ModelFolder(fs::path(SDTORCH_SOURCE_DIR) / "models" / "demo"));
}

TEST_CASE("a pipeline of a class of its own is judged by its components", "[weights]") {
  const TempDir folder;
  write_model(folder / "m", good_index());
  struct Case {
    json class_name;
    bool corrects_configs;
  };
  const Case cases[] = {{json::array({"pipeline", "MyPipeline"}), true},
                        {json::array({"my_code", "StableDiffusionPipeline"}), true},
                        {"SomebodysPipeline", true},
                        {"StableDiffusionPanoramaPipeline", false},
                        {"StableDiffusionPAGPipeline", true},
                        {"StableDiffusionSAGPipeline", false},
                        {"StableDiffusionKDiffusionPipeline", false}};
  for (const auto& [name, corrects] : cases) {
    INFO(name);
    json index = good_index();
    index["_class_name"] = name;
    write_file(folder / "m" / "model_index.json", index.dump());
    CHECK_NOTHROW(ModelFolder(folder / "m"));
    const sdtorch::PipelineKind kind = sdtorch::pipeline_kind(index, "f");
    CHECK_FALSE(kind.xl);
    CHECK(kind.corrects_configs == corrects);
    index["text_encoder_2"] = {"transformers", "CLIPTextModelWithProjection"};
    if (kind.class_name.empty()) CHECK(sdtorch::pipeline_kind(index, "f").xl);
  }
  for (const char* component : {"controlnet", "image_model"}) {
    json index = good_index();
    index["_class_name"] = {"pipeline", "MyPipeline"};
    index[component] = {"diffusers", "ControlNetModel"};
    write_file(folder / "m" / "model_index.json", index.dump());
    check_error(ErrorKind::model, "a component that is not supported", [&] { ModelFolder(folder / "m"); });
  }
}

TEST_CASE("folders that hold no text-to-image model are refused, saying why", "[weights]") {
  const auto with = [](const char* key, const json& value) {
    json index = good_index();
    index[key] = value;
    return index.dump();
  };
  json without_vae = good_index();
  without_vae.erase("vae");
  struct Case {
    std::string index, message;
  };
  const Case cases[] = {
      {"[]", "model_index.json: a JSON object was expected, found array"},
      {"{", "model_index.json: line 1, column 1"},
      {"{}", "model_index.json: _class_name: a pipeline's class was expected"},
      {with("_class_name", "StableDiffusionXLPipeline"), "tokenizer_2: this component is missing"},
      {with("_class_name", "FluxPipeline"), "_class_name: FluxPipeline is not supported"},
      {with("_class_name", {"code", "StableDiffusion3Pipeline"}), "StableDiffusion3Pipeline is not supported"},
      {with("_class_name", {"code", nullptr}), "_class_name: a pipeline's class was expected"},
      {with("_class_name", 3), "_class_name: a pipeline's class was expected"},
      {without_vae.dump(), "vae: this component is missing"},
      {with("unet", {nullptr, nullptr}), "unet: this component is missing"},
      {with("unet", "UNet2DConditionModel"), "unet: [library, class] was expected"},
      {with("unet", json::array({"diffusers", 1})), "unet: [library, class] was expected"},
      {with("vae", {"diffusers", "AsymmetricAutoencoderKL"}), "vae: AsymmetricAutoencoderKL is not supported"},
      {with("text_encoder", {"transformers", "T5EncoderModel"}), "text_encoder: T5EncoderModel is not supported"},
      {with("text_encoder_2", {"transformers", "CLIPTextModel"}), "text_encoder_2: a component that is not supported"},
  };
  for (const Case& c : cases) {
    const TempDir folder;
    write_model(folder / "m", good_index());
    write_file(folder / "m" / "model_index.json", c.index);
    check_error(ErrorKind::model, c.message, [&] { ModelFolder(folder / "m"); });
  }

  const TempDir folder;
  check_error(ErrorKind::model, "none: there is no such model folder", [&] { ModelFolder(folder / "none"); });
  check_error(ErrorKind::model, "it has no model_index.json", [&] { ModelFolder(folder.path()); });
  write_model(folder / "m", good_index());
  check_error(ErrorKind::model, "is a file", [&] { ModelFolder(folder / "m" / "model_index.json"); });
  fs::remove(folder / "m" / "unet");
  check_error(ErrorKind::model, "m/unet: the folder is missing", [&] { ModelFolder(folder / "m"); });
}

TEST_CASE("a component's weights are found in each of their places, the best first", "[weights]") {
  // From the worst to the best: each one added takes over.
  const TempDir folder;
  const fs::path c = folder / "unet";
  const std::string bin = file_contents(golden_path("torch_files/bare-tensor.pt"));
  write_file(c / "pytorch_model.fp16.bin", bin);
  CHECK(load_component(c).contains("tensor"));
  save(c / "model.fp16.safetensors", "t", 1);
  CHECK(value(c) == 1);
  save(c / "diffusion_pytorch_model.fp16.safetensors", "t", 2);
  CHECK(value(c) == 2);
  save(c / "diffusion_pytorch_model.fp16-00001-of-00001.safetensors", "t", 3);
  write_file(c / "diffusion_pytorch_model.safetensors.index.fp16.json",
             R"({"metadata": {}, "weight_map": {"t": "diffusion_pytorch_model.fp16-00001-of-00001.safetensors"}})");
  CHECK(value(c) == 3);
  write_file(c / "pytorch_model.bin", bin);
  CHECK(load_component(c).contains("tensor"));
  save(c / "model.safetensors", "t", 4);
  CHECK(value(c) == 4);
  save(c / "diffusion_pytorch_model.safetensors", "t", 5);
  CHECK(value(c) == 5);
  CHECK(value(c / "model.safetensors") == 4);
}

TEST_CASE("shards are put together", "[weights]") {
  const TempDir folder;
  save(folder / "a.safetensors", "text_model.t", 1);
  save(folder / "b.safetensors", "u", 2);
  write_file(folder / "model.safetensors.index.json",
             R"({"weight_map": {"text_model.t": "a.safetensors", "u": "b.safetensors"}})");
  const sdtorch::StateDict weights = load_component(folder.path());
  REQUIRE(weights.size() == 2);
  CHECK(weights.at("t").tensor.item<double>() == 1);
  CHECK(weights.at("u").file == (folder / "b.safetensors").string());
}

TEST_CASE("shards of .bin files are put together", "[weights]") {
  const TempDir folder;
  for (const char* name : {"bare-tensor", "many"}) {
    fs::copy_file(golden_path("torch_files/" + std::string(name) + ".pt"), folder / (std::string(name) + ".bin"));
  }
  write_file(folder / "pytorch_model.bin.index.json",
             R"({"weight_map": {"tensor": "bare-tensor.bin", "layer.7": "many.bin"}})");
  CHECK(load_component(folder.path()).size() == 301);
}

TEST_CASE("indexes that are wrong are refused by name", "[weights]") {
  struct Case {
    std::string index, message;
  };
  const Case cases[] = {
      {"{}", "model.safetensors.index.json: weight_map: an object"},
      {R"({"weight_map": {}})", "weight_map: an object"},
      {R"({"weight_map": {"t": 1}})", "t: a file name was expected, found number"},
      {R"({"weight_map": {"t": "../a.safetensors"}})", "t: \"../a.safetensors\" is no plain file name"},
      {R"({"weight_map": {"t": "/etc/passwd"}})", "is no plain file name"},
      {R"({"weight_map": {"t": ".."}})", "is no plain file name"},
      {R"({"weight_map": {"t": ""}})", "is no plain file name"},
      {R"({"weight_map": {"t": "a.safetensors\u0000"}})", "is no plain file name"},
      {R"({"weight_map": {"t": "none.safetensors"}})", "none.safetensors: cannot be opened: No such file"},
      {R"({"weight_map": {"u": "a.safetensors"}})", "a.safetensors: u: missing, and model.safetensors.index.json"},
      {R"({"weight_map": {"t": "a.safetensors", "u": "b.safetensors"}})", "t: another shard has the same tensor"},
  };
  for (const Case& c : cases) {
    const TempDir folder;
    save(folder / "a.safetensors", "t", 1);
    sdtorch::save_safetensors(folder / "b.safetensors", {{"t", at::zeros(1)}, {"u", at::zeros(1)}});
    write_file(folder / "model.safetensors.index.json", c.index);
    check_error(ErrorKind::model, c.message, [&] { load_component(folder.path()); });
  }
}

TEST_CASE("folders without weights that can be read are refused, saying what was looked for", "[weights]") {
  const TempDir folder;
  check_error(ErrorKind::model, "none: there is no such folder", [&] { load_component(folder / "none"); });
  check_error(ErrorKind::model, "no weights here; looked for diffusion_pytorch_model, model and",
              [&] { load_component(folder.path()); });
  sdtorch::save_safetensors(folder / "empty.safetensors", {});
  check_error(ErrorKind::model, "empty.safetensors: holds no tensors",
              [&] { load_component(folder / "empty.safetensors"); });
  write_file(folder / "pytorch_model.bin", "x");
  check_error(ErrorKind::model, "pytorch_model.bin: is text, not weights", [&] { load_component(folder.path()); });
  fs::create_symlink("../../blobs/gone", folder / "model.safetensors");
  check_error(ErrorKind::model, "model.safetensors: is a link to ../../blobs/gone, which is not there",
              [&] { load_component(folder.path()); });
}

TEST_CASE("what an index says beyond its pipeline is told, and null is absent", "[weights]") {
  const TempDir folder;
  json index = good_index();
  const auto open = [&](const sdtorch::ReadOptions& options = {}) {
    write_file(folder / "m" / "model_index.json", index.dump());
    return stderr_of([&] { ModelFolder(folder / "m", options); });
  };
  write_model(folder / "m", good_index());
  index["image_prior"] = nullptr;
  index["requires_aesthetics_score"] = nullptr;
  CHECK(open().empty());
  index["strange_setting"] = true;
  CHECK(open().find("model_index.json: strange_setting: unknown setting: passed over\n") != std::string::npos);
  index["image_prior"] = {"diffusers", "PriorTransformer"};
  check_error(ErrorKind::model, "image_prior: a component that is not supported (PriorTransformer); --ignore-unknown",
              [&] { open(); });
  CHECK(open({.ignore_unknown = true}).find("image_prior: a component that is not supported") != std::string::npos);
  index["unet"] = nullptr;
  check_error(ErrorKind::model, "unet: this component is missing", [&] { open({.ignore_unknown = true}); });
}
