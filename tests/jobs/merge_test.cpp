// Arithmetic on models against torch's, and merged models drawn with.
#include "jobs/merge.hpp"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "io/json.hpp"
#include "jobs/baked_loras.hpp"
#include "jobs/convert.hpp"
#include "jobs/merge_weights.hpp"
#include "recipes/init_model.hpp"
#include "support/captured_stderr.hpp"
#include "support/errors.hpp"
#include "support/families.hpp"
#include "support/golden.hpp"
#include "support/models.hpp"
#include "support/temp_dir.hpp"
#include "weights/component_files.hpp"
#include "weights/ldm_keys.hpp"

using namespace sdtorch;
namespace fs = std::filesystem;

namespace {

/// A copy of the model whose tensors are others: flipped, scaled and shifted in fp32, as the golden's maker does it.
fs::path other_model(const TempDir& temp, const fs::path& model, const std::string& name, double scale, double shift) {
  const fs::path made = temp / name;
  fs::copy(model, made, fs::copy_options::recursive);
  for (const auto& entry : fs::recursive_directory_iterator(made)) {
    if (entry.path().extension() != ".safetensors") continue;
    std::map<std::string, at::Tensor> tensors;
    for (const auto& [key, weight] : load_safetensors(entry.path())) {
      std::vector<int64_t> dims;
      for (int64_t dim = 0; dim < weight.tensor.dim(); ++dim) dims.push_back(dim);
      const bool real = weight.tensor.is_floating_point();
      tensors[key] = real ? weight.tensor.to(at::kFloat).flip(dims) * scale + shift : weight.tensor.clone();
    }
    save_safetensors(entry.path(), tensors);
  }
  return made;
}

void merge(const fs::path& a, std::vector<fs::path> others, const std::string& weights, const fs::path& out) {
  merge_models({.input = {.model = a}, .others = std::move(others), .weights = weights, .output = {.target = out}});
}

Request merged_request() { return {.prompt = "a red cat", .steps = 2, .seed = 3, .width = 64, .height = 64}; }

KeySet unet_keys(const char* family) { return keys_of(load_component(folder_of_family(family) / "unet")); }

/// A model with this many input channels: sd1-9 for inpainting.
fs::path inpainting_model(const TempDir& temp) { return with_wider_unet(temp, "sd1-9", "inpainting"); }

}  // namespace

TEST_CASE("merges equal torch's, bit for bit", "[jobs][merge][golden]") {
  const nlohmann::json cases = read_json_file(golden_path("merge/cases.json"), ErrorKind::model);
  for (const auto& [label, c] : cases.items()) {
    INFO(label);
    const TempDir temp;
    const fs::path a = folder_of_family(c.at("model").get<std::string>());
    std::vector<fs::path> others{other_model(temp, a, "b", 0.5, 0.125)};
    if (c.at("difference").get<bool>()) others.push_back(other_model(temp, a, "c", -0.25, 0.0625));
    merge(a, others, c.at("weights").get<std::string>(), temp / "out");
    const auto merged = stored_tensors(temp / "out");
    const auto expected = load_golden("merge/" + label);
    CHECK(expected.size() > 20);
    for (const auto& [key, tensor] : expected) {
      INFO(key);
      REQUIRE(merged.contains(key));
      CHECK(merged.at(key).scalar_type() == tensor.scalar_type());
      CHECK(at::equal(merged.at(key), tensor));
    }
  }
}

TEST_CASE("a merge of a folder and files is the merge of folders", "[jobs][merge]") {
  const TempDir temp;
  const fs::path a = folder_of_family("xl"), b = other_model(temp, a, "b", 0.5, 0.125);
  convert_model({.input = {.model = b}, .output = {.target = temp / "b.safetensors"}});
  merge(a, {b}, "0.25", temp / "folders");
  merge(a, {temp / "b.safetensors"}, "0.25", temp / "mixed.safetensors");
  convert_model({.input = {.model = temp / "mixed.safetensors"}, .output = {.target = temp / "mixed"}});
  check_same_tensors(stored_tensors(temp / "folders"), stored_tensors(temp / "mixed"));
  CHECK(at::equal(drawn_with(temp / "folders", merged_request()),
                  drawn_with(temp / "mixed.safetensors", merged_request())));
}

TEST_CASE("nothing of B is A, and all of it is B's weights", "[jobs][merge]") {
  const TempDir temp;
  const fs::path a = folder_of_family("sd1"), b = other_model(temp, a, "b", 0.5, 0.125);
  merge(a, {b}, "0", temp / "none");
  check_same_tensors(stored_tensors(a), stored_tensors(temp / "none"));
  merge_models(
      {.input = {.model = a}, .others = {b}, .weights = "1", .dtype = "fp32", .output = {.target = temp / "all"}});
  for (const auto& [key, tensor] : stored_tensors(b)) {
    INFO(key);
    CHECK(at::equal(stored_tensors(temp / "all").at(key), tensor));
  }
}

TEST_CASE("a model for inpainting takes others' differences in its first channels", "[jobs][merge]") {
  const TempDir temp;
  const fs::path inpainting = inpainting_model(temp), base = folder_of_family("sd1");
  const fs::path mine = other_model(temp, base, "mine", 0.5, 0.125);
  for (const char* weight : {"1", "0.5"}) {
    const fs::path out = temp / weight;
    merge(inpainting, {mine, base}, weight, out);
    const at::Tensor a = stored_tensors(inpainting).at("unet/conv_in.weight").to(at::kFloat);
    const at::Tensor b = stored_tensors(mine).at("unet/conv_in.weight");
    const at::Tensor c = stored_tensors(base).at("unet/conv_in.weight").to(at::kFloat);
    at::Tensor expected = a.clone();
    expected.narrow(1, 0, 4).add_((b - c) * std::stod(weight));
    const at::Tensor merged = stored_tensors(out).at("unet/conv_in.weight");
    CHECK(at::equal(merged, expected.to(merged.scalar_type())));
  }
  merge(inpainting, {mine}, "0.5", temp / "sum");
  CHECK(stored_tensors(temp / "sum").at("unet/conv_in.weight").size(1) == 9);
  check_error(ErrorKind::model, "A must be the model that takes more than its latent",
              [&] { merge(base, {inpainting}, "0.5", temp / "x"); });
}

TEST_CASE("models that have no sum are refused with their shapes", "[jobs][merge]") {
  const TempDir temp;
  const std::string family = error_message(
      ErrorKind::model, [&] { merge(folder_of_family("sd1"), {folder_of_family("xl")}, "0.5", temp / "x"); });
  CHECK(family.find("is a Stable Diffusion XL base, and sd1 is a Stable Diffusion 1.x") != std::string::npos);
  CHECK(family.find("unet: conv_in.weight: [16, 4, 3, 3], and [8, 4, 3, 3] in") != std::string::npos);
  init_model({.target = temp / "tiny"});
  check_error(ErrorKind::model, "is of other sizes than A:\n  text_encoder: embeddings.position_embedding.weight:",
              [&] { merge(folder_of_family("sd1"), {temp / "tiny"}, "0.5", temp / "x"); });
  CHECK(!fs::exists(temp / "x"));
}

TEST_CASE("keys that one side has alone are listed, and stay A's", "[jobs][merge]") {
  const TempDir temp;
  const fs::path a = folder_of_family("lcm"), b = other_model(temp, a, "b", 0.5, 0.125);
  const fs::path weights = b / "unet" / "diffusion_pytorch_model.safetensors";
  std::map<std::string, at::Tensor> tensors;
  for (const auto& [key, weight] : load_safetensors(weights)) {
    if (key.find("cond_proj") == std::string::npos) tensors[key] = weight.tensor.clone();
  }
  tensors["more.weight"] = at::zeros({3});
  save_safetensors(weights, tensors);
  const std::string said = stderr_of([&] { merge(a, {b}, "0.5", temp / "out"); });
  CHECK(said.find("stay A's: time_embedding.cond_proj.weight") != std::string::npos);
  CHECK(said.find("are left out: more.weight") != std::string::npos);
  const char* key = "unet/time_embedding.cond_proj.weight";
  CHECK(at::equal(stored_tensors(temp / "out").at(key), stored_tensors(a).at(key)));
}

TEST_CASE("weights that cannot be read name the flag and the choices", "[jobs][merge]") {
  const KeySet sd1 = unet_keys("sd1"), xl = unet_keys("xl");
  const auto refused = [&](const std::string& text, Family family, const std::string& message) {
    INFO(text);
    check_error(ErrorKind::usage, message, [&] { MergeWeights(text, family, family == Family::sdxl ? xl : sd1); });
  };
  refused("", Family::sd1, "--weights: '' is not a finite number");
  refused("nan", Family::sd1, "--weights: 'nan' is not a finite number");
  refused("0.1,,0.2", Family::sd1, "--weights: '' is not a finite number");
  refused("0.1,0.2,0.3", Family::sd1, "--weights: 3 numbers; one was expected, or 25");
  refused(std::string("0") + std::string(",0") + ",0", Family::sdxl, "or 19");
  refused("in12=1", Family::sd1, "--weights: 'in12' is no part of the model");
  refused("in09=1", Family::sdxl, "--weights: 'in09' is no part of the model");
  refused("vea=1", Family::sd1, "did you mean vae?");
  refused("te=1,te=0.5", Family::sd1, "--weights: 'te' has a weight twice");
  refused("M00=1,Mid=1", Family::sd1, "--weights: 'mid' has a weight twice");
  refused("in1=1,IN01=1", Family::sd1, "--weights: 'in01' has a weight twice");
  refused("te=", Family::sd1, "--weights: '' is not a finite number");
  refused("te=1,0.5", Family::sd1, "'0.5' follows NAME=W");
  const MergeWeights mixed("0.25, IN=0.5, in01=2, te=-1", Family::sd1, sd1);
  CHECK(mixed.of("vae", "decoder.conv_in.weight") == 0.25);
  CHECK(mixed.of("text_encoder", "final_layer_norm.weight") == -1);
  CHECK(mixed.of("unet", "conv_in.weight") == 0.5);
  CHECK(mixed.of("unet", "down_blocks.0.resnets.0.conv1.weight") == 2);
  CHECK(mixed.of("unet", "mid_block.resnets.0.conv1.weight") == 0.25);
}

TEST_CASE("choices of a merge that do not go together are refused before anything is read", "[jobs][merge]") {
  const TempDir temp;
  const auto refused = [&](MergeOptions options, const std::string& message) {
    options.input.model = "no-such-model";
    options.output.target = temp / "x";
    check_error(ErrorKind::usage, message, [&] { merge_models(options); });
  };
  refused({}, "one model alone is nothing to merge");
  refused({.others = {"b"}}, "--weights: how much of B is missing");
  refused({.others = {"b", "c"}, .mode = "weighted-sum", .weights = "1"}, "--mode: weighted-sum takes two models");
  refused({.others = {"b"}, .mode = "add-difference", .weights = "1"}, "there is no C");
  refused({.others = {"b", "c", "d"}, .weights = "1"}, "4 models; three are the most");
  refused({.weights = "1", .loras = {"x"}}, "--weights: there is no second model");
}

TEST_CASE("a LoRA that is baked in changes what it names, rounded once", "[jobs][merge]") {
  const TempDir temp;
  const fs::path a = folder_of_family("sd1");
  const char* key = "unet/down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.weight";
  const char* text_key = "text_encoder/encoder.layers.0.self_attn.q_proj.weight";
  const auto stored = stored_tensors(a);
  std::map<std::string, at::Tensor> lora;
  at::manual_seed(0);
  const auto add = [&](const std::string& name, const at::Tensor& weight) {
    lora[name + ".lora_down.weight"] = at::randn({2, weight.size(1)});
    lora[name + ".lora_up.weight"] = at::randn({weight.size(0), 2});
    lora[name + ".alpha"] = at::scalar_tensor(1.0);
  };
  add("lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q", stored.at(key));
  add("lora_te_text_model_encoder_layers_0_self_attn_q_proj", stored.at(text_key));
  save_safetensors(temp / "l.safetensors", lora);
  merge_models({.input = {.model = a},
                .loras = {(temp / "l.safetensors").string() + ":0.5:-2"},
                .dtype = "fp32",
                .output = {.target = temp / "out"}});
  for (const auto& [name, tensor] : stored_tensors(temp / "out")) {
    INFO(name);
    at::Tensor expected = stored.at(name);
    if (expected.is_floating_point()) expected = expected.to(at::kFloat);
    if (name == key || name == text_key) {
      const std::string module = name == key ? "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
                                             : "lora_te_text_model_encoder_layers_0_self_attn_q_proj";
      const double scale = 0.5 * (name == key ? 0.5 : -2);  // alpha / rank, and the user's
      expected = expected + at::mm(lora.at(module + ".lora_up.weight"), lora.at(module + ".lora_down.weight")) * scale;
      CHECK(relative_error(tensor, expected) < 1e-6);
    } else {
      CHECK(at::equal(tensor, expected));
    }
  }
}

TEST_CASE("merge reads FILE:W:TE_W as drawing does, colons in names, too", "[jobs][merge]") {
  const TempDir temp;
  const std::string name = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q";
  const at::Tensor to_q = stored_tensors(folder_of_family("sd1"))
                              .at("unet/down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.weight");
  const std::string file = (temp / "a:1.safetensors").string();
  save_safetensors(file, {{name + ".lora_down.weight", at::ones({1, to_q.size(1)})},
                          {name + ".lora_up.weight", at::ones({to_q.size(0), 1})}});
  const WeightShapes model = {
      {"unet", {{"down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.weight", to_q.sizes().vec()}}}};
  const auto weights = [&](const std::string& rest) {
    const BakedLora lora = read_baked_loras({file + rest}, model, false).front();
    return std::pair(lora.unet, lora.text_encoder);
  };
  using Pair = std::pair<double, double>;
  CHECK(weights("") == Pair(1, 1));
  CHECK(weights(":0.5") == Pair(0.5, 0.5));
  CHECK(weights(":0.5:-2") == Pair(0.5, -2));
  for (const char* wrong : {":x", ":0.5:x", ":0.2@0,0.8@0.5", ":1:2:3"}) {
    INFO(wrong);
    check_error(ErrorKind::usage, "--lora", [&] { weights(wrong); });
  }
}
