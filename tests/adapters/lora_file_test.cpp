#include "adapters/lora_file.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "io/json.hpp"
#include "support/captured_stderr.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/golden.hpp"
#include "support/temp_dir.hpp"
#include "weights/state_dict.hpp"

using namespace sdtorch;

namespace {

using Tensors = std::map<std::string, at::Tensor>;

const std::string attention_name = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.";
const std::string kohya_attention = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_";
const std::string cross_name = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.";

/// A model of a few layers; context: numbers of a token.
WeightShapes few_layers(int64_t context = 6) {
  return {{"unet",
           {{attention_name + "to_q.weight", {4, 4}},
            {attention_name + "to_k.weight", {4, 4}},
            {attention_name + "to_out.0.weight", {4, 4}},
            {attention_name + "to_out.0.bias", {4}},
            {cross_name + "to_k.weight", {4, context}},
            {"down_blocks.0.attentions.0.proj_in.weight", {4, 4, 1, 1}},
            {"down_blocks.0.resnets.0.conv1.weight", {8, 4, 3, 3}},
            {"down_blocks.0.resnets.0.norm1.weight", {4}}}},
          {"text_encoder", {{"encoder.layers.0.self_attn.q_proj.weight", {6, 6}}, {"final_layer_norm.weight", {6}}}}};
}

Tensors lora_pair(const std::string& name, int64_t out = 4, int64_t in = 4, int64_t rank = 2) {
  return {{name + ".lora_down.weight", at::ones({rank, in})}, {name + ".lora_up.weight", at::ones({out, rank})}};
}

/// read_lora of a file with these tensors.
class WrittenLora {
 public:
  explicit WrittenLora(const Tensors& tensors, const std::map<std::string, std::string>& metadata = {}) {
    save_safetensors(file(), tensors, metadata);
  }
  std::filesystem::path file() const { return folder_ / "some.safetensors"; }
  const std::filesystem::path& folder() const { return folder_.path(); }
  LoraFile read(const WeightShapes& model = few_layers(), const LoraOptions& options = {}) const {
    return read_lora(file(), model, options);
  }

 private:
  TempDir folder_{};
};

/// The first number of what the only change adds at scale 1.
double first_added(const LoraFile& lora, const std::vector<int64_t>& shape = {4, 4}) {
  REQUIRE(lora.changes.size() == 1);
  return lora.changes.front().difference(at::ones(shape), 1).flatten()[0].item<double>();
}

void check_lora_refused(const Tensors& tensors, const std::string& fragment, const WeightShapes& model = few_layers()) {
  const WrittenLora written(tensors);
  check_error(ErrorKind::model, "some.safetensors", [&] { written.read(model); });
  check_error(ErrorKind::model, fragment, [&] { written.read(model); });
}

/// Each of a published U-Net's layers as a matrix, by the original code's names and diffusers'.
struct PublishedLayers {
  WeightShapes model{};
  std::map<std::string, std::string> layers{};  // the original code's → diffusers'
};

PublishedLayers published_layers(const std::string& component) {
  PublishedLayers unet;
  const auto names = read_json_file(golden_path("weights/ldm_keys.json"), ErrorKind::bug).at(component);
  for (const auto& [theirs, ours] : names.get<std::map<std::string, std::string>>()) {
    constexpr size_t ending = std::string_view(".weight").size();
    if (!ours.ends_with(".weight") || ours.find("norm") != std::string::npos) continue;
    unet.model["unet"][ours] = {4, 4};
    unet.layers[theirs.substr(0, theirs.size() - ending)] = ours.substr(0, ours.size() - ending);
  }
  return unet;
}

std::string kohya_flat(std::string name) {
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

/// A file whose layer number i adds i, with every name as `spell` gives it of the original code's and diffusers'.
void check_layout(const PublishedLayers& unet, bool alpha,
                  const std::function<std::string(const std::string& theirs, const std::string& ours)>& spell) {
  Tensors tensors;
  std::map<std::string, double> wanted;
  for (const auto& [theirs, ours] : unet.layers) {
    const auto number = static_cast<double>(wanted.size() + 1);
    wanted[ours + ".weight"] = number;
    const std::string name = spell(theirs, ours);
    tensors[name + ".lora_down.weight"] = at::full({2, 4}, number * (alpha ? 2 : 1)).to(at::kHalf);
    tensors[name + ".lora_up.weight"] = at::full({4, 2}, 0.5).to(at::kHalf);
    if (alpha) tensors[name + ".alpha"] = at::scalar_tensor(1.0, at::kHalf);
  }
  const LoraFile lora = WrittenLora(tensors).read(unet.model);
  CHECK(lora.changes.size() == wanted.size());
  for (const WeightChange& change : lora.changes) {
    INFO(change.key);
    CHECK(change.difference(at::zeros({4, 4}), 1)[3][3].item<double>() == wanted.at(change.key));
  }
}

}  // namespace

TEST_CASE("the layouts of LCM-LoRA, Lightning and Hyper-SD find every layer", "[adapters]") {
  for (const char* component : {"unet_sd1", "unet_sdxl"}) {
    INFO(component);
    const PublishedLayers unet = published_layers(component);
    // LCM-LoRA and Hyper-SD's: kohya's names of diffusers' layers
    check_layout(unet, true, [](const auto&, const auto& ours) { return "lora_unet_" + kohya_flat(ours); });
    // SDXL-Lightning's: kohya's names of the original code's layers
    check_layout(unet, true, [](const auto& theirs, const auto&) { return "lora_unet_" + kohya_flat(theirs); });
    // LyCORIS's own, of a network that it wrapped
    check_layout(unet, true, [](const auto&, const auto& ours) { return "lycoris_" + kohya_flat(ours); });
    // as ComfyUI saves what it trained
    check_layout(unet, false, [](const auto& theirs, const auto&) { return "diffusion_model." + theirs; });
  }
}

TEST_CASE("text encoders' layers are found with and without text_model, by kohya's numbers and by components",
          "[adapters]") {
  WeightShapes model = few_layers();
  model["text_encoder_2"] = model["text_encoder"];
  const std::map<std::string, std::string> components = {
      {"lora_te_text_model_encoder_layers_0_self_attn_q_proj", "text_encoder"},
      {"lora_te1_text_model_encoder_layers_0_self_attn_q_proj", "text_encoder"},
      {"lora_te2_text_model_encoder_layers_0_self_attn_q_proj", "text_encoder_2"},
      {"text_encoder.text_model.encoder.layers.0.self_attn.q_proj", "text_encoder"},
      {"text_encoder.encoder.layers.0.self_attn.q_proj", "text_encoder"},
      {"text_encoder_2.text_model.encoder.layers.0.self_attn.q_proj", "text_encoder_2"},
      {"text_encoder_2.base_model.model.encoder.layers.0.self_attn.q_proj", "text_encoder_2"},
      {"clip_l.text_model.encoder.layers.0.self_attn.q_proj", "text_encoder"},
      {"clip_g.text_model.encoder.layers.0.self_attn.q_proj", "text_encoder_2"}};
  for (const auto& [name, component] : components) {
    INFO(name);
    const LoraFile lora = WrittenLora(lora_pair(name, 6, 6)).read(model);
    REQUIRE(lora.changes.size() == 1);
    CHECK(lora.changes.front().component == component);
    CHECK(lora.changes.front().key == "encoder.layers.0.self_attn.q_proj.weight");
  }
  // Both have this layer, and nothing says which is meant, but for PEFT's config.
  const WrittenLora unsaid(lora_pair("base_model.model.text_model.encoder.layers.0.self_attn.q_proj", 6, 6));
  check_error(ErrorKind::model, "or more than one", [&] { unsaid.read(model); });
  std::ofstream(unsaid.folder() / "adapter_config.json")
      << R"({"r": 2, "lora_alpha": 6, "auto_mapping": {"base_model_class": "CLIPTextModelWithProjection"}})";
  CHECK(unsaid.read(model).changes.front().component == "text_encoder_2");
  CHECK(first_added(unsaid.read(model), {6, 6}) == 6);
}

TEST_CASE("embeddings that came along are handed out as files of their own would be", "[adapters]") {
  Tensors tensors = lora_pair(kohya_attention + "to_q");
  tensors["bundle_emb.blue cat.string_to_param.*"] = at::ones({2, 6});
  tensors["bundle_emb.a.b.clip_l"] = at::ones({3, 6});
  tensors["bundle_emb.a.b.clip_g"] = at::ones({3, 8});
  const LoraFile lora = WrittenLora(tensors).read();
  CHECK(lora.changes.size() == 1);
  REQUIRE(lora.embeddings.size() == 2);
  CHECK(lora.embeddings.at("blue cat").at("string_to_param.*").tensor.size(0) == 2);
  CHECK(lora.embeddings.at("a.b").at("clip_l").tensor.size(0) == 3);
  CHECK(lora.embeddings.at("a.b").at("clip_g").tensor.size(1) == 8);
}

TEST_CASE("alpha over the rank, or over its root where the metadata say so and alpha has it not yet", "[adapters]") {
  const auto number = [](double alpha, const std::map<std::string, std::string>& metadata) {
    Tensors tensors = lora_pair(kohya_attention + "to_q", 4, 4, 4);  // up·down is 4 everywhere
    if (alpha >= 0) tensors[kohya_attention + "to_q.alpha"] = at::scalar_tensor(alpha, at::kFloat);
    return first_added(WrittenLora(tensors, metadata).read());
  };
  const std::string stabilised = R"({"rs_lora": "True"})";
  CHECK(number(-1, {}) == 4);
  CHECK(number(0, {}) == 4);
  CHECK(number(8, {}) == 8);
  CHECK(number(8, {{"ss_network_args", R"({"rs_lora": "False"})"}}) == 8);
  CHECK(number(8, {{"ss_network_args", stabilised}}) == 16);
  CHECK(number(8, {{"ss_network_args", stabilised}, {"ss_network_module", "lycoris.kohya"}}) == 8);
  CHECK(number(8, {{"ss_network_args", stabilised},
                   {"ss_network_module", "lycoris.kohya"},
                   {"ss_network_alpha", "4.0"}}) == 8);
  CHECK(
      number(8, {{"ss_network_args", stabilised}, {"ss_network_module", "lycoris.kohya"}, {"ss_network_alpha", "8"}}) ==
      16);
  CHECK(number(8, {{"ss_network_args", "no JSON"}}) == 8);

  Tensors tensors = lora_pair(kohya_attention + "to_q");
  tensors[kohya_attention + "to_q.scale"] = at::scalar_tensor(0.25, at::kFloat);
  CHECK(first_added(WrittenLora(tensors).read()) == 0.5);
}

TEST_CASE("PEFT's config is that of PEFT's file, and not of any other in its folder", "[adapters]") {
  const std::string name = "unet." + attention_name + "to_q";
  const Tensors tensors = {{name + ".lora_A.weight", at::ones({2, 4})}, {name + ".lora_B.weight", at::ones({4, 2})}};
  const WrittenLora written(tensors);
  std::ofstream(written.folder() / "adapter_config.json") << R"({"r": 2, "lora_alpha": 6})";
  CHECK(first_added(written.read()) == 6);
  save_safetensors(written.folder() / "another.safetensors", tensors);
  CHECK(first_added(written.read()) == 2);
  save_safetensors(written.folder() / "adapter_model.safetensors", tensors);
  CHECK(first_added(read_lora(written.folder(), few_layers())) == 6);
}

TEST_CASE("a tensor that is there twice is taken once, and two different ones are an error", "[adapters]") {
  Tensors tensors = lora_pair(kohya_attention + "to_q");
  tensors["unet." + attention_name + "to_q.lora_A.weight"] = at::ones({2, 4});
  tensors["unet." + attention_name + "to_q.lora_B.weight"] = at::ones({4, 2});
  CHECK(first_added(WrittenLora(tensors).read()) == 2);
  tensors["unet." + attention_name + "to_q.lora_A.weight"] = at::zeros({2, 4});
  check_lora_refused(tensors, "unet." + attention_name + "to_q.lora_A.weight: is for the same place as " +
                                  kohya_attention + "to_q.lora_down.weight");
  tensors = lora_pair(kohya_attention + "to_q");
  tensors[kohya_attention + "to_q.diff"] = at::ones({4, 4});
  check_lora_refused(tensors, "beside a");
}

TEST_CASE("all that does not fit is listed at once, or left out with a warning", "[adapters]") {
  Tensors tensors = lora_pair(kohya_attention + "to_q");
  tensors["lora_unet_nowhere.lora_down.weight"] = at::ones({2, 4});
  tensors[kohya_attention + "to_k.lora_down.weight"] = at::ones({2, 4});
  tensors.merge(lora_pair(kohya_attention + "to_out_0", 4, 5));
  tensors[kohya_attention + "to_q.hada_t1"] = at::ones({2, 4});
  const WrittenLora written(tensors);
  const std::string message = error_message(ErrorKind::model, [&] { written.read(); });
  INFO(message);
  CHECK(message.find("do not fit the model, which is SD1:") != std::string::npos);
  CHECK(message.find("lora_unet_nowhere.lora_down.weight: the model has no such layer") != std::string::npos);
  CHECK(message.find("to_k.lora_down.weight: the lora_up that belongs to it is missing") != std::string::npos);
  CHECK(message.find("to_out_0.lora_down.weight: expected [2, 4], found [2, 5]") != std::string::npos);
  CHECK(message.find("to_q.hada_t1: is a hada_t1 without what it belongs to") != std::string::npos);

  tensors.erase(kohya_attention + "to_q.hada_t1");
  const WrittenLora lenient(tensors);
  const std::string warnings =
      stderr_of([&] { CHECK(first_added(lenient.read(few_layers(), {.lenient = true})) == 2); });
  CHECK(warnings.find("lora_unet_nowhere.lora_down.weight") != std::string::npos);
  CHECK(warnings.find("to_out_0") != std::string::npos);

  const WrittenLora nothing(lora_pair("lora_unet_nowhere"));
  check_error(ErrorKind::model, "nothing in it fits", [&] { nothing.read(few_layers(), {.lenient = true}); });
}

TEST_CASE("a LoRA of another family is refused by name", "[adapters]") {
  const std::string flat_cross = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k";
  check_lora_refused(lora_pair(flat_cross, 4, 2048), "made for SDXL; the model is SD1", few_layers(768));
  check_lora_refused(lora_pair(flat_cross, 4, 768), "made for SD1; the model is SDXL", few_layers(2048));
  check_lora_refused(lora_pair(flat_cross, 4, 1024), "made for SD2; the model is SD1", few_layers(768));
  check_lora_refused(lora_pair(flat_cross, 4, 768), "made for SD1; the model is SD2", few_layers(1024));
  check_lora_refused(lora_pair(flat_cross, 4, 10), "its context has 10 numbers a token, the model's 6");
  check_lora_refused(lora_pair("lora_te2_text_model_encoder_layers_0_self_attn_q_proj", 6, 6),
                     "made for SDXL; the model is SD1");
  check_lora_refused(lora_pair("lora_unet_double_blocks_0_img_attn_qkv"), "made for FLUX; the model is SD1");
  check_lora_refused(lora_pair("transformer.transformer_blocks.0.attn.to_q"), "made for a diffusion transformer");
  // Tiny models have other widths; layers tell.
  check_lora_refused(lora_pair("unet.mid_block.attentions.0.transformer_blocks.1.attn1.to_q"),
                     "made for SDXL; the model is SD1");
  check_lora_refused(lora_pair("lora_unet_mid_block_attentions_0_proj_in"), "made for SD2 or SDXL; the model is SD1");
  WeightShapes xl = {{"unet", {{"add_embedding.linear_1.weight", {4, 4}}}}, {"text_encoder", {}}};
  check_lora_refused(lora_pair(kohya_attention + "to_q"), "made for SD1 or SD2; the model is SDXL", xl);
  const WrittenLora told(lora_pair("lora_unet_nowhere"), {{"ss_base_model_version", "sdxl_base_v1-0"}});
  for (const bool lenient : {false, true}) {
    check_error(ErrorKind::model, "made for SDXL; the model is SD1",
                [&] { told.read(few_layers(), {.lenient = lenient}); });
  }
}

TEST_CASE("a file's family is told by the context of any kind and spelling", "[adapters]") {
  const std::string flat = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k";
  const std::string dotted = "unet." + cross_name + "to_k";
  const Tensors written_by[] = {
      {{dotted + ".lora_linear_layer.down.weight", at::ones({2, 768})},
       {dotted + ".lora_linear_layer.up.weight", at::ones({4, 2})}},
      {{dotted + ".lora_A.default.weight", at::ones({2, 768})}, {dotted + ".lora_B.default.weight", at::ones({4, 2})}},
      {{flat + ".lokr_w1", at::ones({2, 4})}, {flat + ".lokr_w2", at::ones({2, 192})}},
      {{flat + ".lokr_w1_a", at::ones({2, 1})},
       {flat + ".lokr_w1_b", at::ones({1, 4})},
       {flat + ".lokr_w2_a", at::ones({2, 1})},
       {flat + ".lokr_w2_b", at::ones({1, 192})}},
      {{flat + ".a1.weight", at::ones({768, 2})},
       {flat + ".a2.weight", at::ones({2, 768})},
       {flat + ".b1.weight", at::ones({4, 2})},
       {flat + ".b2.weight", at::ones({2, 768})}},
      {{flat + ".weight", at::ones({768})}, {flat + ".on_input", at::ones({})}},
  };
  for (const Tensors& tensors : written_by) {
    check_lora_refused(tensors, "made for SD1; the model is SD2", few_layers(1024));
  }
}

TEST_CASE("names taken from layers in memory have an adapter's name in them", "[adapters]") {
  for (const std::string name : {"default", "default_0", "my-style"}) {
    const std::string q = "base_model.model.unet." + attention_name + "to_q";
    CHECK(first_added(WrittenLora({{q + ".lora_A." + name + ".weight", at::ones({2, 4})},
                                   {q + ".lora_B." + name + ".weight", at::ones({4, 2})}})
                          .read()) == 2);
    CHECK(first_added(
              WrittenLora({{q + ".lokr_w1." + name, at::ones({2, 2})}, {q + ".lokr_w2." + name, at::ones({2, 2}) * 3}})
                  .read()) == 3);
  }
  // OneTrainer's names before it writes them with underscores.
  CHECK(first_added(WrittenLora(lora_pair("lora_unet." + attention_name + "to_q")).read()) == 2);
  CHECK(first_added(WrittenLora(lora_pair("lora_te1.text_model.encoder.layers.0.self_attn.q_proj", 6, 6)).read(),
                    {6, 6}) == 2);
}

TEST_CASE("a LoRA made with four channels changes those of a model that inpaints", "[adapters]") {
  WeightShapes model = few_layers();
  model["unet"]["conv_in.weight"] = {8, 9, 3, 3};
  const Tensors tensors = {{"lora_unet_conv_in.lora_down.weight", at::ones({2, 4, 3, 3})},
                           {"lora_unet_conv_in.lora_up.weight", at::ones({8, 2, 1, 1})}};
  const LoraFile lora = WrittenLora(tensors).read(model);
  REQUIRE(lora.changes.size() == 1);
  const at::Tensor added = lora.changes.front().difference(at::ones({8, 9, 3, 3}), 0.5);
  CHECK(added.narrow(1, 0, 4).equal(at::ones({8, 4, 3, 3})));
  CHECK(added.narrow(1, 4, 5).equal(at::zeros({8, 5, 3, 3})));
  check_lora_refused({{"lora_unet_conv_in.lora_down.weight", at::ones({2, 5, 3, 3})},
                      {"lora_unet_conv_in.lora_up.weight", at::ones({8, 2, 1, 1})}},
                     "lora_unet_conv_in.lora_down.weight", model);
}

TEST_CASE("files that are no LoRA are called what they are", "[adapters]") {
  check_lora_refused({{"control_model.input_blocks.0.0.weight", at::ones({4, 4})}}, "this is a ControlNet");
  check_lora_refused({{"string_to_param.*", at::ones({1, 6})}}, "this is a textual-inversion embedding");
  const TempDir empty;
  check_error(ErrorKind::model, "no LoRA in this folder", [&] { read_lora(empty.path(), few_layers()); });
}

TEST_CASE("hostile numbers and shapes end in errors that name the key", "[adapters]") {
  const double infinity = std::numeric_limits<double>::infinity();
  const std::string q = kohya_attention + "to_q";
  const auto with = [&](const std::string& part, const at::Tensor& tensor) {
    Tensors tensors = lora_pair(q);
    tensors[q + part] = tensor;
    return tensors;
  };
  check_lora_refused(with(".alpha", at::scalar_tensor(std::nan(""), at::kFloat)), "to_q.alpha: is not finite");
  check_lora_refused(with(".alpha", at::scalar_tensor(infinity, at::kFloat)), "to_q.alpha: is not finite");
  check_lora_refused(with(".alpha", at::ones({3})), "to_q.alpha: a number was expected, found Float [3]");
  check_lora_refused(with(".lora_up.weight", at::scalar_tensor(1.0, at::kFloat)),
                     "to_q.lora_up.weight: has the shape []");
  check_lora_refused(with(".lora_up.weight", at::ones({4, 2}, at::kLong)), "to_q.lora_up.weight: is of type Long");
  check_lora_refused(with(".lora_up.weight", at::full({4, 2}, infinity)),
                     "to_q.lora_up.weight: has numbers that are not");
  CHECK(first_added(WrittenLora(with(".lora_up.weight", at::ones({4, 2}).to(at::kFloat8_e4m3fn))).read()) == 2);
  check_lora_refused(with(".lora_up.weight", at::ones({4, 3})), "to_q.lora_up.weight: expected [4, 2], found [4, 3]");
  check_lora_refused(with(".dora_scale", at::ones({5, 1})), "to_q.dora_scale");
  check_lora_refused({{q + ".lora_down.weight", at::ones({0, 4})}, {q + ".lora_up.weight", at::ones({4, 0})}},
                     "to_q.lora_down.weight: is empty: [0, 4]");
  check_lora_refused({{q + ".lokr_w1", at::ones({3, 2})}, {q + ".lokr_w2", at::ones({2, 2})}}, "[3, 2] ⊗ [2, 2]");
  check_lora_refused({{q + ".hada_w1_a", at::ones({4, 2})},
                      {q + ".hada_w1_b", at::ones({2, 4})},
                      {q + ".hada_w2_a", at::ones({4, 2})},
                      {q + ".hada_w2_b", at::ones({3, 4})}},
                     "to_q.hada_w2_a: expected [4, 3]");
  check_lora_refused({{q + ".oft_blocks", at::ones({3, 2, 2})}}, "to_q.oft_blocks: [3, 2, 2] do not make up");
  check_lora_refused({{q + ".oft_blocks", at::ones({9, 2, 2, 2})}}, "to_q.oft_blocks: [9, 2, 2, 2]");
  check_lora_refused({{q + ".weight", at::ones({4})}}, "the on_input that belongs to it is missing");
  check_lora_refused({{q + ".weight", at::ones({5})}, {q + ".on_input", at::scalar_tensor(1, at::kLong)}},
                     "to_q.weight");
  check_lora_refused({{q + ".diff", at::ones({4, 5})}}, "to_q.diff: expected [4, 4], found [4, 5]");
  check_lora_refused({{q + ".diff_b", at::ones({4})}}, "to_q.diff_b: the layer has no bias");
  check_lora_refused(lora_pair("lora_unet_down_blocks_0_resnets_0_norm1"), "the weight [4] is no matrix");

  const WrittenLora config(lora_pair("base_model.model." + attention_name + "to_q"));
  const auto with_config = [&](const std::string& text) {
    std::ofstream(config.folder() / "adapter_config.json") << text;
    return error_message(ErrorKind::model, [&] { config.read(); });
  };
  CHECK(with_config(R"({"lora_alpha": "many"})").find("adapter_config.json: lora_alpha") != std::string::npos);
  CHECK(with_config(R"({"alpha_pattern": {"a.*(b": 3}})").find("regular expression") != std::string::npos);
  for (const char* hostile : {"(a?){2000}", "((a{9}){9}){9}", "(?<=a)b", "(a)\\\\1"}) {
    INFO(hostile);
    CHECK(with_config(std::string(R"({"rank_pattern": {")") + hostile + R"(": 3}})").find("regular expression") !=
          std::string::npos);
  }
  CHECK(with_config("[1]").find("an object was expected") != std::string::npos);
}

TEST_CASE("PEFT's patterns are regular expressions for the ends of names", "[adapters]") {
  const WrittenLora file(lora_pair("base_model.model." + attention_name + "to_q"));  // of rank 2, all ones
  const auto added = [&](const std::string& patterns) {
    std::ofstream(file.folder() / "adapter_config.json")
        << R"({"r": 2, "lora_alpha": 2, "alpha_pattern": )" << patterns << "}";
    return first_added(file.read());
  };
  CHECK(added("{}") == 2);
  CHECK(added(R"({"to_q": 6})") == 6);
  CHECK(added(R"({"o_q": 6})") == 2);  // no part of a name
  CHECK(added(R"({"attn1": 6})") == 2);
  CHECK(added(R"({"attn1.*": 6})") == 6);
  CHECK(added(R"x({"down_blocks\\..*\\.to_(q|k)": 6})x") == 6);
  CHECK(added(R"({"^to_q": 6})") == 2);
  CHECK(added(R"({"^down_blocks.*to_q": 6})") == 6);
  CHECK(added(R"({".*to_[a-q]": 6, "to_q": 10})") == 6);  // the first that fits, by the letters of their names
  CHECK(added(R"({"(a+)+(a+)+(a+)+(a+)+(a+)+b": 6})") == 2);
}

TEST_CASE("layers are found as ComfyUI extracts them, with SD2's text encoder, too", "[adapters]") {
  const std::map<std::string, std::string> components = {
      {"text_encoders.clip_l.transformer.text_model.encoder.layers.0.self_attn.q_proj", "text_encoder"},
      {"text_encoders.clip_h.transformer.text_model.encoder.layers.0.self_attn.q_proj", "text_encoder"},
      {"clip_h.transformer.text_model.encoder.layers.0.self_attn.q_proj", "text_encoder"}};
  for (const auto& [name, component] : components) {
    INFO(name);
    const LoraFile lora = WrittenLora(lora_pair(name, 6, 6)).read();
    REQUIRE(lora.changes.size() == 1);
    CHECK(lora.changes.front().component == component);
  }
}

TEST_CASE("a whole model is no LoRA", "[adapters]") {
  check_lora_refused({{"model.diffusion_model.input_blocks.0.0.weight", at::ones({2, 2})},
                      {"first_stage_model.decoder.conv_in.weight", at::ones({2, 2})}},
                     "this is a whole model, and no LoRA");
}
