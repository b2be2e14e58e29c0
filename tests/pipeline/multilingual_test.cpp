// Whole pictures of models with a sentencepiece tokenizer, against diffusers.
#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "pipeline/settings_json.hpp"
#include "support/catch.hpp"
#include "support/drawing.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/golden.hpp"
#include "support/multilingual.hpp"
#include "support/temp_dir.hpp"
#include "support/tolerance.hpp"

using namespace sdtorch;

namespace {

namespace fs = std::filesystem;

/// The golden model as a folder: its own text encoder, the parts that all share, and the tokenizer as its model file
/// or as transformers saves it.
void make_model(const std::string& name, const fs::path& folder, bool as_json = false) {
  const fs::path models = golden_path("multilingual/models");
  fs::create_directories(folder);
  for (const char* part : {"unet", "vae", "scheduler"})
    fs::create_directory_symlink(models / "shared" / part, folder / part);
  fs::create_directory_symlink(models / name / "text_encoder", folder / "text_encoder");
  fs::copy_file(models / name / "model_index.json", folder / "model_index.json");
  const std::string tokenizer = name == "japanese" ? name : "alt";
  if (as_json) {
    make_tokenizer_json(tokenizer, folder / "tokenizer");
  } else {
    make_multilingual_tokenizer(tokenizer, folder / "tokenizer");
  }
}

}  // namespace

TEST_CASE("AltDiffusion and Japanese Stable Diffusion draw what diffusers draws", "[pipeline]") {
  const auto expected = load_golden("multilingual/tiny");
  const auto cases = nlohmann::json::parse(golden_metadata("multilingual/tiny").at("cases"));
  REQUIRE(cases.size() >= 12);
  for (const bool as_json : {false, true}) {
    const TempDir folder;
    std::map<std::string, PipelineNetworks> models;
    for (size_t i = 0; i < cases.size(); ++i) {
      INFO(cases[i].dump());
      nlohmann::json request = cases[i];
      const auto name = request["model"].get<std::string>();
      request.erase("model");
      if (!models.contains(name)) {
        make_model(name, folder / name, as_json);
        models.emplace(name, networks_of(describe_model((folder / name).string(), "")));
      }
      const Settings settings = settings_from_json(request, {}, {.file = "golden"});
      at::Tensor latent;
      Observer observer;
      observer.on_tensor = [&](std::string_view tensor_name, const at::Tensor& tensor) {
        if (tensor_name == "latent") latent = tensor;
      };
      const Drawn generated = draw_tensors(models.at(name), settings, 1, observer);
      const std::string key = fmt::format("{:03}", i);
      CHECK(relative_error(latent, expected.at(key + ".latent")) <= tolerance::tensor_relative);
      const at::Tensor bytes = (generated.pictures * 255).round().permute({0, 2, 3, 1});
      const at::Tensor difference = (bytes - expected.at(key + ".image").to(at::kFloat)).abs();
      CHECK(difference.max().item<double>() <= tolerance::pixel * 255);
      CHECK(difference.mean().item<double>() <= tolerance::pixel_mean * 255);
    }
  }
}

TEST_CASE("a text encoder that does not fit its tokenizer or its U-Net is refused by key", "[pipeline]") {
  const TempDir folder;
  make_model("alt", folder / "alt");
  const fs::path encoder = folder / "alt" / "text_encoder";
  nlohmann::json config = nlohmann::json::parse(file_contents(encoder / "config.json"));
  fs::remove(encoder);
  const auto describe = [&](const char* key, int value) {
    nlohmann::json changed = config;
    changed[key] = value;
    write_file(encoder / "config.json", changed.dump());
    describe_model((folder / "alt").string(), "");
  };
  describe("bos_token_id", 0);
  check_error(ErrorKind::model, "vocab_size", [&] { describe("vocab_size", 20); });
  check_error(ErrorKind::model, "project_dim", [&] { describe("project_dim", 20); });
  check_error(ErrorKind::model, "max_position_embeddings", [&] { describe("max_position_embeddings", 78); });
  describe("max_position_embeddings", 79);
}
