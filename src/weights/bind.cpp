#include "weights/bind.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "core/cancel.hpp"
#include "core/error.hpp"
#include "core/placement.hpp"
#include "weights/key_names.hpp"
#include "weights/mapped_tensor.hpp"

namespace sdtorch {
namespace {

constexpr size_t max_listed = 20;  // of each kind of problem: a foreign file has a thousand

std::string shape_of(const at::Tensor& tensor) {
  return fmt::format("{} [{}]", c10::toString(tensor.scalar_type()), fmt::join(tensor.sizes(), ", "));
}

/// The shape alone where any floating-point type will do.
std::string expectation(const at::Tensor& parameter) {
  const bool any_float = parameter.is_floating_point();
  return fmt::format("{} [{}]", any_float ? "floating point" : c10::toString(parameter.scalar_type()),
                     fmt::join(parameter.sizes(), ", "));
}

bool fits(const at::Tensor& parameter, const at::Tensor& weight) {
  const bool kinds_agree =
      parameter.is_floating_point() ? weight.is_floating_point() : at::isIntegralType(weight.scalar_type(), true);
  return kinds_agree && parameter.sizes() == weight.sizes();
}

/// Everything that is wrong, to be said at once.
class Report {
 public:
  explicit Report(const StateDict& weights) {
    for (const auto& [key, weight] : weights) files_.insert(weight.file);
  }

  void missing(const std::string& key, const at::Tensor& parameter) {
    missing_.push_back(fmt::format("{}: {} was expected", key, expectation(parameter)));
  }
  void unexpected(const std::string& key, const SourcedTensor& weight) {
    unexpected_.push_back(fmt::format("{}: {}{}", key, shape_of(weight.tensor), where(weight)));
  }
  void misshapen(const std::string& key, const at::Tensor& parameter, const SourcedTensor& weight) {
    misshapen_.push_back(fmt::format("{}: {} was expected, found {}{}", key, expectation(parameter),
                                     shape_of(weight.tensor), where(weight)));
  }

  void throw_if_any(const std::string& module) const {
    if (missing_.empty() && unexpected_.empty() && misshapen_.empty()) return;
    throw Error(ErrorKind::model,
                {.file = files_.size() == 1 ? *files_.begin() : fmt::format("{}", fmt::join(files_, ", ")),
                 .reason = fmt::format("the weights do not fit the {}{}{}{}", module, list("missing", missing_),
                                       list("unexpected", unexpected_), list("misshapen", misshapen_))});
  }

 private:
  std::string where(const SourcedTensor& weight) const {
    return files_.size() == 1 ? std::string() : fmt::format(" in {}", weight.file);
  }

  static std::string list(const char* kind, const std::vector<std::string>& lines) {
    if (lines.empty()) return {};
    const size_t listed = std::min(lines.size(), max_listed);
    std::string text = fmt::format("\n  {} {}:\n    {}", lines.size(), kind,
                                   fmt::join(lines.begin(), lines.begin() + static_cast<ptrdiff_t>(listed), "\n    "));
    if (listed < lines.size()) text += fmt::format("\n    … and {} more", lines.size() - listed);
    return text;
  }

  std::set<std::string> files_{};
  std::vector<std::string> missing_{}, unexpected_{}, misshapen_{};
};

/// A module with parameters or buffers of its own, and the keys that they have.
struct Leaf {
  torch::nn::Module* module;
  std::vector<std::pair<std::string, at::Tensor>> slots{};
};

/// Of the module, whose own keys begin with the prefix, and of all below it.
void add_leaves(std::vector<Leaf>& leaves, torch::nn::Module& module, const std::string& prefix) {
  Leaf leaf{.module = &module};
  for (const auto& own : module.named_parameters(/*recurse=*/false)) {
    leaf.slots.emplace_back(prefix + own.key(), own.value());
  }
  for (const auto& own : module.named_buffers(/*recurse=*/false)) {
    leaf.slots.emplace_back(prefix + own.key(), own.value());
  }
  if (!leaf.slots.empty()) leaves.push_back(std::move(leaf));
  for (const auto& child : module.named_children()) add_leaves(leaves, *child.value(), prefix + child.key() + ".");
}

/// In the order in which the file has them, so that it is read from its beginning to its end.
void sort_by_place(std::vector<Leaf>& leaves, const StateDict& weights) {
  std::ranges::sort(leaves, {}, [&](const Leaf& leaf) {
    const SourcedTensor& first = weights.at(leaf.slots.front().first);
    return std::pair(first.file, reinterpret_cast<uintptr_t>(first.tensor.const_data_ptr()));
  });
}

/// sources: the slots' tensors, as their files have them; values: what the slots get.
void bind_leaf(Leaf& leaf, const std::vector<at::Tensor>& sources, const std::vector<at::Tensor>& values,
               const Placement& to) {
  for (size_t i = 0; i < leaf.slots.size(); ++i) {
    at::Tensor& slot = leaf.slots[i].second;
    slot.set_requires_grad(false);
    slot.set_data(slot.is_floating_point() ? values[i] : values[i].to(slot.scalar_type()));
  }
  if (auto* layer = dynamic_cast<Prepared*>(leaf.module)) {
    layer->prepare(to);
  } else {
    for (auto& [key, slot] : leaf.slots) place(slot, to);
  }
  for (size_t i = 0; i < sources.size(); ++i) {
    if (!leaf.slots[i].second.is_alias_of(sources[i])) release_pages(sources[i]);
  }
  leaf.slots.clear();  // a layer may have put another tensor in a parameter's place
}

/// Taken out of the dictionary, so that what was converted is let go before the next layer is.
void bind_leaf(Leaf& leaf, StateDict& weights, const Placement& to) {
  std::vector<at::Tensor> sources;
  for (auto& [key, slot] : leaf.slots) sources.push_back(weights.extract(key).mapped().tensor);
  bind_leaf(leaf, sources, sources, to);
}

void check_leaves(const std::vector<Leaf>& leaves, const StateDict& weights, const std::string& name) {
  Report report(weights);
  std::set<std::string> known;
  for (const Leaf& leaf : leaves) {
    for (const auto& [key, slot] : leaf.slots) {
      known.insert(key);
      const auto found = weights.find(key);
      if (found == weights.end()) {
        report.missing(key, slot);
      } else if (!fits(slot, found->second.tensor)) {
        report.misshapen(key, slot, found->second);
      }
    }
  }
  for (const auto& [key, weight] : weights) {
    if (!known.contains(key) && !is_no_weight(key)) report.unexpected(key, weight);
  }
  report.throw_if_any(name);
}

}  // namespace

void check_weights(torch::nn::Module& module, const StateDict& weights, const std::string& name) {
  std::vector<Leaf> leaves;
  add_leaves(leaves, module, {});
  check_leaves(leaves, weights, name);
}

void bind_weights(torch::nn::Module& module, StateDict weights, at::ScalarType dtype, at::Device device,
                  const std::string& name) {
  std::vector<Leaf> leaves;
  add_leaves(leaves, module, {});
  check_leaves(leaves, weights, name);
  sort_by_place(leaves, weights);
  for (Leaf& leaf : leaves) {
    leave_if_cancelled();
    bind_leaf(leaf, weights, {.dtype = dtype, .device = device});
  }
}

void rebind_weights(torch::nn::Module& module, const StateDict& weights, const std::vector<std::string>& keys,
                    const Placement& to, const WeightAdaptation& adapted) {
  const std::set<std::string> wanted(keys.begin(), keys.end());
  std::vector<Leaf> leaves;
  add_leaves(leaves, module, {});
  std::erase_if(leaves, [&](const Leaf& leaf) {
    return std::ranges::none_of(leaf.slots, [&](const auto& slot) { return wanted.contains(slot.first); });
  });
  sort_by_place(leaves, weights);
  for (const Leaf& old : leaves) {
    leave_if_cancelled();
    if (auto* layer = dynamic_cast<Prepared*>(old.module)) layer->renew();
    const std::string& key = old.slots.front().first;
    std::vector<Leaf> renewed;
    add_leaves(renewed, *old.module, key.substr(0, key.rfind('.') + 1));
    Leaf& leaf = renewed.front();
    std::vector<at::Tensor> sources, values;
    for (const auto& [own, slot] : leaf.slots) {
      sources.push_back(weights.at(own).tensor);
      values.push_back(adapted(own, sources.back()));
    }
    bind_leaf(leaf, sources, values, to);
  }
}

}  // namespace sdtorch
