// A ComfyUI workflow as nodes whose inputs are values or links, whichever of its two forms a picture carries.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace sdtorch {

struct ComfyNode {
  std::string id{};
  std::string type{};                                ///< class: KSampler, CLIPTextEncode, …
  nlohmann::json inputs = nlohmann::json::object();  ///< by name: a value, or a link [id, output]
};

class ComfyGraph {
 public:
  /// The `prompt` chunk: an object of nodes by their ids.
  static ComfyGraph from_prompt(const nlohmann::json& prompt);

  /// The `workflow` chunk: lists of nodes with their widgets' values, and of links. Of the nodes of the text-to-image
  /// subset the widgets are known by name; muted and bypassed nodes are left out, the latter passed through.
  static ComfyGraph from_workflow(const nlohmann::json& workflow);

  const std::map<std::string, ComfyNode>& nodes() const { return nodes_; }

  /// The node that an input's link comes from; nullptr for a value, or a node that is not there.
  const ComfyNode* behind(const ComfyNode& node, const std::string& input) const;

  /// The node that feeds the first of these inputs that is a link.
  const ComfyNode* behind_any(const ComfyNode& node, const std::vector<std::string>& inputs) const;

  /// An input's value; of a link that of the node behind it, if it has one value to give (Primitive nodes, text boxes).
  /// Null where there is none.
  const nlohmann::json& value(const ComfyNode& node, const std::string& input) const;

  /// The nodes from which there is a way to `node`, each once, the nearest first.
  std::vector<const ComfyNode*> upstream(const ComfyNode& node) const;

 private:
  std::map<std::string, ComfyNode> nodes_{};
};

}  // namespace sdtorch
