#include "pipeline/comfy_graph.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <span>
#include <string_view>
#include <utility>

namespace sdtorch {
namespace {

using nlohmann::json;

constexpr size_t most_hops = 64;  // through nodes that only pass something on

/// The widgets of a node's class, in their order; an empty name is one that says nothing of the picture.
struct Widgets {
  std::string_view type;
  std::array<std::string_view, 10> names;
};
constexpr Widgets known_widgets[]{
    {"KSampler", {"seed", "", "steps", "cfg", "sampler_name", "scheduler", "denoise"}},
    {"KSamplerAdvanced",
     {"add_noise", "noise_seed", "", "steps", "cfg", "sampler_name", "scheduler", "start_at_step", "end_at_step",
      "return_with_leftover_noise"}},
    {"CheckpointLoaderSimple", {"ckpt_name"}},
    {"CheckpointLoader", {"config_name", "ckpt_name"}},
    {"CLIPTextEncode", {"text"}},
    {"CLIPTextEncodeSDXL",
     {"width", "height", "crop_w", "crop_h", "target_width", "target_height", "text_g", "text_l"}},
    {"EmptyLatentImage", {"width", "height", "batch_size"}},
    {"LoraLoader", {"lora_name", "strength_model", "strength_clip"}},
    {"LoraLoaderModelOnly", {"lora_name", "strength_model"}},
    {"CLIPSetLastLayer", {"stop_at_clip_layer"}},
    {"VAELoader", {"vae_name"}},
    {"ModelSamplingDiscrete", {"sampling", "zsnr"}},
    {"RescaleCFG", {"multiplier"}},
    {"FreeU", {"b1", "b2", "s1", "s2"}},
    {"PerturbedAttentionGuidance", {"scale"}},
    {"LoadImage", {"image"}},
    {"PrimitiveNode", {"value"}},
    {"PrimitiveString", {"value"}},
    {"PrimitiveStringMultiline", {"value"}},
    {"PrimitiveInt", {"value"}},
    {"PrimitiveFloat", {"value"}},
};

/// Names under which nodes that hold one value have it.
constexpr std::string_view value_names[]{"value", "text", "string", "Text", "String", "int", "float", "seed"};

bool is_link(const json& value) {
  return value.is_array() && value.size() == 2 && (value[0].is_string() || value[0].is_number_integer()) &&
         value[1].is_number_integer();
}

std::string id_of(const json& id) {
  return id.is_string() ? id.get<std::string>() : id.is_number_integer() ? id.dump() : std::string();
}

const json& field(const json& object, const char* key) {
  static const json none;
  const auto found = object.is_object() ? object.find(key) : object.end();
  return object.is_object() && found != object.end() ? *found : none;
}

/// What the frontend shows a node's widgets to hold.
void take_widgets(ComfyNode& node, const json& values) {
  if (values.is_object()) {  // some nodes have names there
    for (const auto& [name, value] : values.items()) node.inputs.emplace(name, value);
    return;
  }
  const auto* known = std::ranges::find(known_widgets, node.type, &Widgets::type);
  if (!values.is_array() || known == std::end(known_widgets)) return;
  for (size_t i = 0; i < std::min(values.size(), known->names.size()); ++i) {
    const std::string name(known->names[i]);
    if (!name.empty() && !node.inputs.contains(name)) node.inputs[name] = values[i];
  }
}

/// Modes of the frontend: 2 is muted, 4 is bypassed.
constexpr int64_t muted = 2, bypassed = 4;

}  // namespace

ComfyGraph ComfyGraph::from_prompt(const json& prompt) {
  ComfyGraph graph;
  if (!prompt.is_object()) return graph;
  for (const auto& [id, node] : prompt.items()) {
    const json &type = field(node, "class_type"), &inputs = field(node, "inputs");
    if (!type.is_string()) continue;
    graph.nodes_[id] = {.id = id, .type = type, .inputs = inputs.is_object() ? inputs : json::object()};
  }
  return graph;
}

ComfyGraph ComfyGraph::from_workflow(const json& workflow) {
  ComfyGraph graph;
  std::map<std::string, json> origins;  // of links
  for (const json& link : field(workflow, "links")) {
    if (link.is_array() && link.size() >= 3) {
      origins[id_of(link[0])] = json::array({id_of(link[1]), link[2]});
    } else if (link.is_object()) {
      origins[id_of(field(link, "id"))] = json::array({id_of(field(link, "origin_id")), field(link, "origin_slot")});
    }
  }
  for (const json& node : field(workflow, "nodes")) {
    const json &type = field(node, "type"), &mode = field(node, "mode");
    const int64_t does = mode.is_number_integer() ? mode.get<int64_t>() : 0;
    if (!type.is_string() || does == muted) continue;
    ComfyNode made{.id = id_of(field(node, "id")), .type = does == bypassed ? "Reroute" : type.get<std::string>()};
    const json& inputs = field(node, "inputs");
    for (const json& input : inputs.is_array() ? inputs : json::array()) {
      const auto origin = origins.find(id_of(field(input, "link")));
      const json& name = field(input, "name");
      if (origin != origins.end() && name.is_string()) made.inputs[name.get<std::string>()] = origin->second;
    }
    if (does != bypassed) take_widgets(made, field(node, "widgets_values"));
    graph.nodes_[made.id] = made;
  }
  return graph;
}

const ComfyNode* ComfyGraph::behind(const ComfyNode& node, const std::string& input) const {
  const ComfyNode* from = &node;
  std::string name = input;
  for (size_t hop = 0; hop < most_hops; ++hop) {
    const auto link = from->inputs.find(name);
    if (link == from->inputs.end() || !is_link(*link)) return nullptr;
    const auto found = nodes_.find(id_of((*link)[0]));
    if (found == nodes_.end()) return nullptr;
    from = &found->second;
    if (from->type != "Reroute") return from;
    // A bypassed node passes on what has the same name, a reroute the one thing that it has.
    if (!from->inputs.contains(name)) {
      if (from->inputs.empty()) return nullptr;
      name = from->inputs.begin().key();
    }
  }
  return nullptr;
}

const ComfyNode* ComfyGraph::behind_any(const ComfyNode& node, const std::vector<std::string>& inputs) const {
  for (const std::string& input : inputs) {
    if (const ComfyNode* from = behind(node, input)) return from;
  }
  return nullptr;
}

const json& ComfyGraph::value(const ComfyNode& node, const std::string& input) const {
  static const json none;
  const ComfyNode* from = &node;
  std::string name = input;
  for (size_t hop = 0; hop < most_hops; ++hop) {
    const auto found = from->inputs.find(name);
    if (found == from->inputs.end()) return none;
    if (!is_link(*found)) return *found;
    from = behind(*from, name);
    if (!from) return none;
    if (from->inputs.contains(input)) {  // such a node may hold values for several others
      name = input;
      continue;
    }
    const auto* known =
        std::ranges::find_if(value_names, [&](std::string_view one) { return from->inputs.contains(one); });
    if (known == std::end(value_names) || (*known == "seed" && !input.ends_with("seed"))) return none;
    name = *known;
  }
  return none;
}

std::vector<const ComfyNode*> ComfyGraph::upstream(const ComfyNode& node) const {
  std::vector<const ComfyNode*> found{&node};
  std::set<std::string> seen{node.id};
  for (size_t i = 0; i < found.size(); ++i) {
    for (const auto& [name, value] : found[i]->inputs.items()) {
      const auto from = is_link(value) ? nodes_.find(id_of(value[0])) : nodes_.end();
      if (from != nodes_.end() && seen.insert(from->first).second) found.push_back(&from->second);
    }
  }
  found.erase(found.begin());
  return found;
}

}  // namespace sdtorch
