// IP-Adapters' files, and what their networks make of an encoder's states, against diffusers
// (scripts/goldens/ip_adapter.py).
#include "adapters/ip_adapter.hpp"

#include <ATen/core/grad_mode.h>

#include <functional>

#include "io/json.hpp"
#include "networks/unet.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/golden.hpp"
#include "support/tolerance.hpp"
#include "weights/bind.hpp"
#include "weights/component_files.hpp"

using namespace sdtorch;

namespace {

constexpr double adapter_scale = 0.7;  // scripts/goldens/ip_adapter.py

const std::vector<std::string> adapters{"small/plain_sd1.safetensors", "small/plus_sd1.bin",
                                        "small/full_sd1.safetensors",  "small/plus_xl.safetensors",
                                        "wide/plain_xl.bin",           "wide/plus_sd1.safetensors"};

std::string adapter_path(const std::string& name) { return golden_path("ip_adapter/" + name).string(); }

std::filesystem::path ip_unet_folder(const std::string& adapter) {
  const bool xl = adapter.find("_xl") != std::string::npos;
  return golden_path(xl ? "families/models/xl/unet" : "pipeline/models/sd1/unet");
}

UNetConfig ip_unet_config(const std::filesystem::path& folder) {
  const auto file = folder / "config.json";
  return UNetConfig::from_json(read_json_file(file, ErrorKind::model), file.string());
}

std::shared_ptr<IpProjection> projection_of(const IpAdapterFile& file) {
  auto projection = make_ip_projection(file.projection_config);
  bind_weights(*projection, file.projection, at::kFloat, at::kCPU, "projection");
  return projection;
}

/// The plain adapter for SD1, changed.
StateDict changed_adapter(const std::function<void(StateDict&)>& change, const std::string& name = adapters.front()) {
  StateDict weights = load_weights(adapter_path(name)).tensors;
  change(weights);
  return weights;
}

void check_ip_refused(const std::string& fragment, const StateDict& weights) {
  check_error(ErrorKind::model, fragment, [&] { read_ip_adapter(weights, "ip.safetensors"); });
}

SourcedTensor ip_zeros(std::vector<int64_t> shape) { return {.tensor = at::zeros(shape), .file = "ip.safetensors"}; }

}  // namespace

TEST_CASE("IP-Adapters make the tokens that diffusers' make, and the U-Net attends to them", "[adapters]") {
  const at::NoGradGuard no_grad;
  const auto golden = load_golden("ip_adapter/tokens");
  for (const std::string& name : adapters) {
    INFO(name);
    const auto given = [&](const std::string& key) {
      const auto found = golden.find(name + "." + key);
      return found == golden.end() ? at::Tensor() : found->second;
    };
    const IpAdapterFile file = load_ip_adapter(adapter_path(name));
    const at::Tensor tokens = projection_of(file)->forward(given("seen"));
    CHECK(relative_error(tokens, given("tokens")) <= tolerance::tensor_relative);

    UNet2DConditionModel unet(ip_unet_config(ip_unet_folder(name)));
    bind_weights(unet, load_component(ip_unet_folder(name)), at::kFloat, at::kCPU, "unet");
    const auto places = cross_attention_places(unet.config());
    REQUIRE_NOTHROW(require_fit(file, places, name));
    const auto layers = std::make_shared<ImageAttentionLayers>(places);
    bind_weights(*layers, file.layers, at::kFloat, at::kCPU, "layers");
    const ImageAttention attention(unet, {{.layers = layers, .scale = adapter_scale}});
    UNetInput input{.sample = given("sample"),
                    .timestep = given("timestep"),
                    .context = given("context"),
                    .pooled = given("pooled"),
                    .time_ids = given("time_ids")};
    const at::Tensor alone = unet.forward(input);
    input.image = {.attention = &attention, .tokens = {given("tokens")}};
    CHECK(relative_error(unet.forward(input), given("sample.out")) <= tolerance::tensor_relative);
    CHECK(relative_error(alone, given("sample.out")) > 0.01);

    const ImageAttention silent(unet, {{.layers = layers, .scale = 0}});
    input.image = {.attention = &silent, .tokens = {given("tokens")}};
    CHECK(at::equal(unet.forward(input), alone));
  }
}

TEST_CASE("what an IP-Adapter's file says of its kind", "[adapters]") {
  const auto config = [](const std::string& name) {
    return load_ip_adapter(adapter_path(name), {.verify = false}).projection_config;
  };
  const IpProjectionConfig plain = config("wide/plain_xl.bin"), plus = config("wide/plus_sd1.safetensors"),
                           full = config("small/full_sd1.safetensors");
  CHECK((plain.kind == IpKind::plain));
  CHECK(plain.seen_width == 28);
  CHECK(plain.width == 40);
  CHECK(plain.tokens == 4);
  CHECK((plus.kind == IpKind::plus));
  CHECK(plus.seen_width == 48);
  CHECK(plus.tokens == 5);
  CHECK(plus.depth == 4);
  CHECK(plus.heads == 2);
  CHECK((full.kind == IpKind::full));
  CHECK(full.seen_width == 32);
}

TEST_CASE("an IP-Adapter in a U-Net that diffusers saved is found", "[adapters]") {
  for (const std::string& name : adapters) {
    INFO(name);
    const IpAdapterFile file = load_ip_adapter(adapter_path(name));
    const auto places = cross_attention_places(ip_unet_config(ip_unet_folder(name)));
    StateDict saved{{"conv_in.weight", ip_zeros({4, 4, 3, 3})}};
    for (const auto& [key, weight] : file.projection) {
      saved["encoder_hid_proj.image_projection_layers.0." + key] = weight;
    }
    for (size_t i = 0; i < places.size(); ++i) {
      for (const std::string layer : {"to_k_ip", "to_v_ip"}) {
        saved[places[i].key + ".processor." + layer + ".0.weight"] =
            file.layers.at(ImageAttentionLayers::key_of(i, layer.c_str()));
      }
    }
    const IpAdapterFile found = read_ip_adapter(saved, "unet.safetensors");
    CHECK((found.projection_config.kind == file.projection_config.kind));
    REQUIRE(found.layers.size() == file.layers.size());
    for (const auto& [key, weight] : file.layers) CHECK(at::equal(found.layers.at(key).tensor, weight.tensor));
    saved["encoder_hid_proj.image_projection_layers.1.norm.weight"] = ip_zeros({3});
    check_error(ErrorKind::model, "several IP-Adapters", [&] { read_ip_adapter(saved, "unet.safetensors"); });
  }
}

TEST_CASE("more blocks than ten are counted by their numbers", "[adapters]") {
  StateDict saved{{"encoder_hid_proj.image_projection_layers.0.image_embeds.weight", ip_zeros({8, 3})},
                  {"encoder_hid_proj.image_projection_layers.0.norm.weight", ip_zeros({2})}};
  for (const std::string block : {"2", "10"}) {
    saved["mid_block.attentions.0.transformer_blocks." + block + ".attn2.processor.to_k_ip.0.weight"] =
        ip_zeros({block == "2" ? 2 : 10, 2});
  }
  saved["up_blocks.0.attentions.0.transformer_blocks.0.attn2.processor.to_k_ip.0.weight"] = ip_zeros({1, 2});
  const IpAdapterFile found = read_ip_adapter(saved, "unet.safetensors");
  CHECK(found.layers.at("1.to_k_ip.weight").tensor.size(0) == 1);
  CHECK(found.layers.at("3.to_k_ip.weight").tensor.size(0) == 2);
  CHECK(found.layers.at("5.to_k_ip.weight").tensor.size(0) == 10);
}

TEST_CASE("files that are no IP-Adapter of these kinds are called what they are", "[adapters]") {
  check_ip_refused("this is a LoRA (kohya's names), no IP-Adapter",
                   {{"lora_unet_x.lora_down.weight", ip_zeros({1, 1})}});
  check_ip_refused("this is nothing known, no IP-Adapter", {{"x", ip_zeros({1})}});
  check_ip_refused("FaceID, which needs a face's recognition", {{"image_proj.proj.0.weight", ip_zeros({2, 2})},
                                                                {"image_proj.proj.2.weight", ip_zeros({4, 2})},
                                                                {"image_proj.norm.weight", ip_zeros({1})},
                                                                {"ip_adapter.1.to_k_ip.weight", ip_zeros({1, 1})}});
  check_ip_refused("FaceID Plus", {{"image_proj.perceiver_resampler.proj_in.weight", ip_zeros({2, 2})},
                                   {"image_proj.proj.0.weight", ip_zeros({2, 2})}});
  check_ip_refused("FaceID", changed_adapter([](StateDict& w) {
                     w["ip_adapter.0.to_k_lora.down.weight"] = ip_zeros({1, 1});
                   }));
  check_ip_refused("ip_adapter.: missing", changed_adapter([](StateDict& w) {
                     std::erase_if(w, [](const auto& item) { return item.first.starts_with("ip_adapter."); });
                   }));
  check_ip_refused("image_proj.: missing", changed_adapter([](StateDict& w) {
                     std::erase_if(w, [](const auto& item) { return item.first.starts_with("image_proj."); });
                   }));
  check_ip_refused("image_proj.norm.weight: missing",
                   changed_adapter([](StateDict& w) { w.erase("image_proj.norm.weight"); }));
  check_ip_refused("image_proj.image_embeds.weight: has 1 axes",
                   changed_adapter([](StateDict& w) { w["image_proj.proj.weight"] = ip_zeros({3}); }));
  check_ip_refused("image_proj.image_embeds.weight: has 8 rows, where 96 were expected",
                   changed_adapter([](StateDict& w) {
                     w["image_proj.proj.weight"] = ip_zeros({8, 20});
                   }));
  const std::string plus = "wide/plus_sd1.safetensors";
  check_ip_refused("image_proj.latents: has 2 axes", changed_adapter(
                                                         [](StateDict& w) {
                                                           w["image_proj.latents"] = ip_zeros({5, 24});
                                                         },
                                                         plus));
  check_ip_refused("to_kv.weight: is no matrix of an even number of rows",
                   changed_adapter(
                       [](StateDict& w) {
                         w["image_proj.layers.1.0.to_kv.weight"] = ip_zeros({3, 24});
                       },
                       plus));
  check_ip_refused("70 rows are no multiple of 64", changed_adapter(
                                                        [](StateDict& w) {
                                                          w["image_proj.layers.0.0.to_q.weight"] = ip_zeros({70, 24});
                                                        },
                                                        plus));
  check_ip_refused("missing: this is no whole IP-Adapter",
                   changed_adapter([](StateDict& w) { w.erase("image_proj.layers.0.1.1.weight"); }, plus));
}

TEST_CASE("an IP-Adapter of another family is refused by name", "[adapters]") {
  const auto places = [](const char* folder) { return cross_attention_places(ip_unet_config(golden_path(folder))); };
  const auto sd1 = places("pipeline/models/sd1/unet"), xl = places("families/models/xl/unet");
  const auto refused = [](const std::string& fragment, const IpAdapterFile& file,
                          const std::vector<CrossAttentionPlace>& of) {
    check_error(ErrorKind::model, fragment, [&] { require_fit(file, of, "ip.safetensors"); });
    check_error(ErrorKind::model, "different families", [&] { require_fit(file, of, "ip.safetensors"); });
  };
  IpAdapterFile plain = load_ip_adapter(adapter_path(adapters.front()));
  refused("ip.safetensors: ip_adapter.1.to_k_ip.weight: is 16 by 24", plain, xl);
  refused("ip_adapter.1.to_k_ip.weight: is 12 by 40", load_ip_adapter(adapter_path("wide/plain_xl.bin")), sd1);
  plain.projection_config.width = 25;
  refused("tokens of width 25, and the U-Net's context is 24 wide", plain, sd1);
  plain.layers["9.to_k_ip.weight"] = ip_zeros({16, 24});
  refused("the U-Net has 4 such layers", plain, sd1);
  plain.layers.erase("5.to_v_ip.weight");
  refused("ip_adapter.5.to_v_ip.weight: missing", plain, sd1);
}
