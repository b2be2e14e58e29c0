#include "cli/inspect_part.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "core/error.hpp"
#include "weights/control_file.hpp"
#include "weights/families.hpp"

namespace sdtorch {
namespace {

using nlohmann::json;

int64_t integer(const json& config, const char* key, int64_t fallback) {
  const auto found = config.find(key);
  return found != config.end() && found->is_number_integer() ? found->get<int64_t>() : fallback;
}

std::string text(const json& config, const char* key, const std::string& fallback) {
  const auto found = config.find(key);
  return found != config.end() && found->is_string() ? found->get<std::string>() : fallback;
}

std::vector<int64_t> integers(const json& config, const char* key, std::vector<int64_t> fallback) {
  const auto found = config.find(key);
  if (found == config.end() || !found->is_array()) return fallback;
  std::vector<int64_t> list;
  for (const json& item : *found) list.push_back(item.is_number_integer() ? item.get<int64_t>() : 0);
  return list;
}

/// Whether the key says more than null.
bool says(const json& config, const char* key) { return config.contains(key) && !config.at(key).is_null(); }

Finding family(Family of, std::string why) { return {"family", std::string(name_of(of)), std::move(why)}; }

Finding picture(int64_t channels, const std::string& order, const char* key) {
  const std::string kind = channels == 1 ? "grey" : order == "bgr" ? "colour, blue first" : "colour";
  return {"picture", kind, fmt::format("{} {}", key, channels)};
}

PartDescription controlnet(const json& config) {
  PartDescription part{.name = "a ControlNet"};
  constexpr const char *added = "projection_class_embeddings_input_dim", *linear = "use_linear_projection";
  if (says(config, added)) {
    part.findings.push_back(family(Family::sdxl, fmt::format("{} {}", added, config.at(added).dump())));
  } else {
    const bool second = config.value(linear, json(false)) == json(true);
    part.findings.push_back(family(second ? Family::sd2 : Family::sd1, fmt::format("{} is {}", linear, second)));
  }
  constexpr const char* width = "cross_attention_dim";
  part.findings.push_back({"text", fmt::format("{} numbers a token", integer(config, width, 1280)), width});
  part.findings.push_back(picture(integer(config, "conditioning_channels", 3),
                                  text(config, "controlnet_conditioning_channel_order", "rgb"),
                                  "conditioning_channels"));
  constexpr const char* hint = "conditioning_embedding_out_channels";
  const std::vector<int64_t> channels = integers(config, hint, {16, 32, 96, 256});
  part.findings.push_back(
      {"latent pixel", fmt::format("{} pixels a side", int64_t{1} << (std::clamp<size_t>(channels.size(), 1, 32) - 1)),
       fmt::format("{} [{}]", hint, fmt::join(channels, ", "))});
  if (config.value("global_pool_conditions", json(false)) == json(true)) {
    part.findings.push_back({"pooled", "yes", "global_pool_conditions"});
  }
  return part;
}

PartDescription adapter(const json& config) {
  const std::string type = text(config, "adapter_type", "full_adapter");
  const int64_t downscale = integer(config, "downscale_factor", 8);
  const bool xl = type == "full_adapter_xl" || downscale > 8;
  return {.name = "a T2I-Adapter",
          .findings = {
              family(xl ? Family::sdxl : Family::sd1, fmt::format("downscale_factor {}", downscale)),
              {"type", type == "light_adapter" ? "light" : "full", "adapter_type " + type},
              picture(integer(config, "in_channels", 3), "rgb", "in_channels"),
              {"features", fmt::format("{}", fmt::join(integers(config, "channels", {320, 640, 1280, 1280}), ", ")),
               "channels"}}};
}

PartDescription depth_estimator(const json& config) {
  const bool hybrid = config.value("is_hybrid", json(false)) == json(true);
  const int64_t side = integer(config, "image_size", 384);
  return {.name = "a depth estimator",
          .findings = {{"type", hybrid ? "DPT-Hybrid" : "DPT", fmt::format("is_hybrid is {}", hybrid)},
                       {"picture", fmt::format("{} by {} pixels", side, side), "image_size"}}};
}

PartDescription classifier(const json& config) {
  std::string classes;
  for (const json& name : config.value("classes", json::array())) {
    if (name.is_string()) classes += (classes.empty() ? "" : ", ") + name.get<std::string>();
  }
  return {.name = "a classifier over noisy latents",
          .findings = {{"classes", classes, "classes"},
                       {"latent", fmt::format("{} channels", integer(config, "in_channels", 4)), "in_channels"}}};
}

}  // namespace

std::optional<PartDescription> describe_part(const json& config, const std::string& class_name) {
  if (class_name == "ControlNetModel") return controlnet(config);
  if (class_name == "T2IAdapter") return adapter(config);
  if (class_name == "LatentClassifier") return classifier(config);
  if (class_name == "DPTForDepthEstimation") return depth_estimator(config);
  return std::nullopt;
}

std::optional<PartDescription> describe_part_file(const StateDict& weights, const std::filesystem::path& file) {
  try {
    const ControlFile part = read_control_file(weights, json::object(), file.string());
    return part.kind == ControlKind::controlnet ? controlnet(part.config) : adapter(part.config);
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace sdtorch
