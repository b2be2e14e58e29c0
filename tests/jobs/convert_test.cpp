// Models in other layouts: nothing is lost on the way, and the pictures are the same, bit for bit.
#include "jobs/convert.hpp"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "io/json.hpp"
#include "recipes/init_model.hpp"
#include "support/errors.hpp"
#include "support/families.hpp"
#include "support/files.hpp"
#include "support/models.hpp"
#include "support/temp_dir.hpp"
#include "weights/component_writer.hpp"
#include "weights/model_folder.hpp"
#include "weights/single_file.hpp"
#include "weights/weights_file.hpp"

using namespace sdtorch;
namespace fs = std::filesystem;

namespace {

void convert(const fs::path& model, const fs::path& out, const std::string& dtype = "keep") {
  convert_model({.input = {.model = model}, .dtype = dtype, .output = {.target = out}});
}

Request small_request() { return {.prompt = "a red cat", .steps = 2, .seed = 3, .width = 64, .height = 64}; }

nlohmann::json json_of(const fs::path& file) { return read_json_file(file, ErrorKind::model); }

/// A golden's tiny model, some of whose JSON file is changed.
fs::path changed_model(const TempDir& temp, const std::string& family, const std::string& file,
                       const nlohmann::json& changes) {
  const fs::path made = temp / ("changed-" + family);
  fs::copy(folder_of_family(family), made, fs::copy_options::recursive);
  nlohmann::json json = json_of(made / file);
  json.merge_patch(changes);
  write_json(made / file, json);
  return made;
}

}  // namespace

TEST_CASE("folder to file to folder gives the same tensors, configs and pictures", "[jobs][convert]") {
  for (const char* family : {"sd1", "sd2", "xl", "lcm"}) {
    INFO(family);
    const TempDir temp;
    const fs::path model = folder_of_family(family), file = temp / "m.safetensors", back = temp / "back";
    convert(model, file);
    convert(file, back);
    check_same_tensors(stored_tensors(model), stored_tensors(back));
    for (const char* config : {"unet/config.json", "vae/config.json", "scheduler/scheduler_config.json"}) {
      INFO(config);
      nlohmann::json before = json_of(model / config), after = json_of(back / config);
      before.emplace("prediction_type", after.value("prediction_type", nlohmann::json()));
      if (!after.contains("prediction_type")) before.erase("prediction_type");
      CHECK(before == after);
    }
    const at::Tensor picture = drawn_with(model, small_request());
    CHECK(at::equal(picture, drawn_with(file, small_request())));
    CHECK(at::equal(picture, drawn_with(back, small_request())));
  }
}

TEST_CASE("a refiner goes through a file, too", "[jobs][convert]") {
  const TempDir temp;
  convert(folder_of_family("refiner"), temp / "r.safetensors");
  convert(temp / "r.safetensors", temp / "back");
  check_same_tensors(stored_tensors(folder_of_family("refiner")), stored_tensors(temp / "back"));
  CHECK(json_of(temp / "back" / "model_index.json").at("requires_aesthetics_score") == true);
}

TEST_CASE("what no name or shape tells goes along into a file", "[jobs][convert]") {
  struct Case {
    const char *family, *file;
    nlohmann::json changes;
  };
  const Case cases[] = {
      {"sd1", "unet/config.json", {{"attention_head_dim", 2}, {"norm_eps", 1e-3}, {"flip_sin_to_cos", false}}},
      {"sd1", "vae/config.json", {{"scaling_factor", 0.5}, {"norm_num_groups", 4}}},
      {"sd1", "text_encoder/config.json", {{"hidden_act", "gelu"}, {"num_attention_heads", 1}}},
      {"sd1", "scheduler/scheduler_config.json", {{"prediction_type", "v_prediction"}, {"beta_end", 0.02}}},
      {"sd2", "scheduler/scheduler_config.json", {{"prediction_type", "epsilon"}}},
      {"sd2",
       "scheduler/scheduler_config.json",
       {{"prediction_type", "v_prediction"}, {"rescale_betas_zero_snr", true}, {"timestep_spacing", "trailing"}}},
      {"xl", "model_index.json", {{"force_zeros_for_empty_prompt", false}}},
  };
  for (const Case& c : cases) {
    INFO(c.family << " " << c.file << " " << c.changes.dump());
    const TempDir temp;
    const fs::path model = changed_model(temp, c.family, c.file, c.changes);
    if (c.changes.contains("rescale_betas_zero_snr")) {
      nlohmann::json index = json_of(model / "model_index.json");
      index["scheduler"][1] = "DDIMScheduler";
      write_json(model / "model_index.json", index);
    }
    convert(model, temp / "m.safetensors");
    const at::Tensor picture = drawn_with(temp / "m.safetensors", small_request());
    CHECK(at::equal(picture, drawn_with(model, small_request())));
    CHECK(!at::equal(picture, drawn_with(folder_of_family(c.family), small_request())));
  }
}

TEST_CASE("infinities of configs go through files and folders", "[jobs][convert]") {
  const TempDir temp;
  const fs::path model = temp / "m", config = "scheduler/scheduler_config.json";
  fs::copy(folder_of_family("sd1"), model, fs::copy_options::recursive);
  std::string text = file_contents(model / config);
  text.insert(text.find('{') + 1, "\"lambda_min_clipped\": -Infinity,");
  write_file(model / config, text);
  convert(model, temp / "m.safetensors");
  convert(temp / "m.safetensors", temp / "back");
  CHECK(file_contents(temp / "back" / config).find("\"lambda_min_clipped\": -Infinity,") != std::string::npos);
}

TEST_CASE("a file converted of a file keeps its names; pruned, it loses its moving averages", "[jobs][convert]") {
  const TempDir temp;
  init_model({.layout = "ckpt", .ema = true, .target = temp / "a.ckpt"});
  convert(temp / "a.ckpt", temp / "a.safetensors");
  const StateDict before = load_weights(temp / "a.ckpt").tensors, after = load_safetensors(temp / "a.safetensors");
  REQUIRE(before.size() == after.size());
  for (const auto& [key, weight] : before) CHECK(at::equal(weight.tensor, after.at(key).tensor));

  convert_model({.input = {.model = temp / "a.ckpt"},
                 .dtype = "fp16",
                 .output = {.target = temp / "pruned.safetensors", .pruned = true}});
  const StateDict pruned = load_safetensors(temp / "pruned.safetensors");
  CHECK(pruned.size() < before.size());
  for (const auto& [key, weight] : pruned) {
    INFO(key);
    CHECK(!key.starts_with("model_ema."));
    const at::Tensor& was = before.at(key).tensor;
    CHECK(at::equal(weight.tensor, was.is_floating_point() ? was.to(at::kHalf) : was));
  }
  const at::Tensor picture = drawn_with(temp / "a.ckpt", small_request());
  CHECK(at::equal(picture, drawn_with(temp / "a.safetensors", small_request())));
  convert(temp / "a.ckpt", temp / "folder");
  CHECK(at::equal(picture, drawn_with(temp / "folder", small_request())));
}

TEST_CASE("a settings file goes with a single file, and a prediction that is given is kept", "[jobs][convert]") {
  const TempDir temp;
  init_model({.family = "sd2", .layout = "single", .target = temp / "a.safetensors"});
  convert_model(
      {.input = {.model = temp / "a.safetensors", .prediction = "v"}, .output = {.target = temp / "told.safetensors"}});
  CHECK(open_model(temp / "told.safetensors")->scheduler().at("prediction_type") == "v_prediction");

  write_file(temp / "a.yaml", "model:\n  target: ldm.models.diffusion.ddpm.X\n  params:\n    parameterization: v\n");
  convert(temp / "a.safetensors", temp / "b.safetensors", "bf16");
  CHECK(open_model(temp / "b.safetensors")->scheduler().at("prediction_type") == "v_prediction");
  check_error(ErrorKind::model, "--prediction", [&] {
    fs::remove(temp / "a.yaml");
    convert(temp / "a.safetensors", temp / "folder");
  });
  CHECK(!fs::exists(temp / "folder"));
}

TEST_CASE("shards hold what one file holds", "[jobs][convert]") {
  const TempDir temp;
  const fs::path model = folder_of_family("sd1");
  convert_model({.input = {.model = model}, .output = {.target = temp / "shards", .most_bytes = 100'000}});
  CHECK(fs::exists(temp / "shards/unet/diffusion_pytorch_model.safetensors.index.json"));
  CHECK(!fs::exists(temp / "shards/unet/diffusion_pytorch_model.safetensors"));
  CHECK(entries_in(temp / "shards/unet") > 4);
  for (const auto& entry : fs::directory_iterator(temp / "shards/unet")) CHECK(entry.file_size() < 120'000);
  check_same_tensors(stored_tensors(model), stored_tensors(temp / "shards"));
  CHECK(at::equal(drawn_with(model, small_request()), drawn_with(temp / "shards", small_request())));
}

TEST_CASE("spellings of a text encoder's keys survive a file", "[jobs][convert]") {
  const TempDir temp;
  const fs::path model = temp / "m", weights = model / "text_encoder" / "model.safetensors";
  fs::copy(folder_of_family("sd1"), model, fs::copy_options::recursive);
  std::map<std::string, at::Tensor> prefixed;
  for (const auto& [key, weight] : load_safetensors(weights)) {
    prefixed[key.starts_with("text_model.") ? key.substr(11) : "text_model." + key] = weight.tensor.clone();
  }
  save_safetensors(weights, prefixed);
  convert(model, temp / "m.safetensors");
  convert(temp / "m.safetensors", temp / "back");
  check_same_tensors(stored_tensors(model), stored_tensors(temp / "back"));
}

TEST_CASE("a number that the type has no place for is an error, and nothing is written", "[jobs][convert]") {
  const TempDir temp;
  const fs::path model = temp / "m", weights = model / "unet" / "diffusion_pytorch_model.safetensors";
  fs::copy(folder_of_family("sd1"), model, fs::copy_options::recursive);
  std::map<std::string, at::Tensor> tensors;
  for (const auto& [key, weight] : load_safetensors(weights)) tensors[key] = weight.tensor.to(at::kFloat);
  tensors["conv_in.bias"] = at::full_like(tensors["conv_in.bias"], 1e6);
  save_safetensors(weights, tensors);
  for (const char* out : {"m.safetensors", "folder"}) {
    check_error(ErrorKind::non_finite, "conv_in.bias: holds numbers that fp16 has no place for",
                [&] { convert(model, temp / out, "fp16"); });
    CHECK(!fs::exists(temp / out));
  }
  CHECK(entries_in(temp.path()) == 1);
}

TEST_CASE("what is there is replaced by force alone", "[jobs][convert]") {
  const TempDir temp;
  const fs::path model = folder_of_family("sd1");
  const auto forced = [&](const fs::path& out) {
    convert_model({.input = {.model = model}, .output = {.target = out, .force = true}});
  };
  for (const char* name : {"m.safetensors", "folder"}) {
    const fs::path out = temp / name;
    convert(model, out);
    check_error(ErrorKind::output, "is there already; --force replaces it", [&] { convert(model, out); });
    CHECK_NOTHROW(forced(out));
  }
  // Onto itself.
  convert_model({.input = {.model = temp / "folder"}, .output = {.target = temp / "folder", .force = true}});
  check_same_tensors(stored_tensors(model), stored_tensors(temp / "folder"));
  write_file(temp / "notes" / "text.txt", "mine");
  check_error(ErrorKind::output, "no model's folder", [&] { forced(temp / "notes"); });
  CHECK(file_contents(temp / "notes" / "text.txt") == "mine");
  fs::create_directory(temp / "empty");
  CHECK_NOTHROW(convert(model, temp / "empty"));
  fs::create_directory(temp / "f.safetensors");
  check_error(ErrorKind::output, "is a folder", [&] { forced(temp / "f.safetensors"); });
  check_error(ErrorKind::usage, "is no .safetensors", [&] { convert(model, temp / "m.ckpt"); });
}

TEST_CASE("a model's own tokenizer lies beside its file", "[jobs][convert]") {
  const TempDir temp;
  const fs::path file = temp / "m.safetensors";
  convert(folder_of_family("sd1"), file);
  CHECK(fs::exists(temp / "m.tokenizer" / "vocab.json"));
  fs::remove_all(temp / "m.tokenizer");
  check_error(ErrorKind::model, "m.tokenizer: is missing", [&] { describe_model(file.string(), ""); });

  init_model({.vocabulary = "clip", .target = temp / "clip"});
  convert(temp / "clip", temp / "c.safetensors");
  CHECK(!fs::exists(temp / "c.tokenizer"));
  CHECK(at::equal(drawn_with(temp / "clip", small_request()), drawn_with(temp / "c.safetensors", small_request())));
}

TEST_CASE("a model for depth keeps its estimator and how pictures are prepared for it", "[jobs][convert]") {
  const TempDir temp;
  init_model({.family = "depth", .vocabulary = "clip", .target = temp / "m"});
  nlohmann::json preparation = json_of(temp / "m/feature_extractor/preprocessor_config.json");
  preparation["image_mean"] = {0.4, 0.5, 0.6};
  write_json(temp / "m/feature_extractor/preprocessor_config.json", preparation);
  convert(temp / "m", temp / "m.safetensors");
  convert(temp / "m.safetensors", temp / "back");
  check_same_tensors(stored_tensors(temp / "m"), stored_tensors(temp / "back"));
  CHECK(json_of(temp / "back/feature_extractor/preprocessor_config.json") == preparation);
  CHECK(describe_model((temp / "m.safetensors").string(), "").depth_estimator->preparation.colours.mean.at(0) == 0.4);
}

TEST_CASE("what a file keeps of its model is read with suspicion", "[jobs][convert]") {
  const TempDir temp;
  const fs::path file = temp / "m.safetensors";
  convert(folder_of_family("sd1"), file);
  std::map<std::string, at::Tensor> tensors;
  for (const auto& [key, weight] : load_safetensors(file)) tensors[key] = weight.tensor.clone();
  const auto with_metadata = [&](const std::string& text) {
    save_safetensors(temp / "x.safetensors", tensors, {{"sdtorch.model", text}});
    return describe_model((temp / "x.safetensors").string(), "");
  };
  for (const char* text : {"", "[]", "{", "{\"model_index\": 1}", "{\"model_index\": {}, \"scheduler\": {}}"}) {
    INFO(text);
    check_error(ErrorKind::model, "sdtorch.model", [&] { with_metadata(text); });
  }
  check_error(ErrorKind::model, "_class_name", [&] {
    with_metadata(R"({"model_index": {}, "scheduler": {"_class_name": "DDIMScheduler"}, "configs": {}, "tokenizers": [],
                      "prefixed": []})");
  });
}
