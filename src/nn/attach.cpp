#include "nn/attach.hpp"

#include <memory>

namespace sdtorch {

std::pair<torch::nn::Module*, std::string> attach_point(torch::nn::Module& root, std::string_view key) {
  torch::nn::Module* parent = &root;
  for (size_t dot = key.find('.'); dot != std::string_view::npos; dot = key.find('.')) {
    const std::string part(key.substr(0, dot));
    key.remove_prefix(dot + 1);
    const auto children = parent->named_children();
    if (const auto* child = children.find(part)) {
      parent = child->get();
    } else {
      parent = parent->register_module(part, std::make_shared<torch::nn::Module>()).get();
    }
  }
  return {parent, std::string(key)};
}

}  // namespace sdtorch
