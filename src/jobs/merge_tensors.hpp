// One component's tensors, computed of several models'.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "adapters/weight_change.hpp"
#include "weights/component_plan.hpp"

namespace sdtorch {

/// A model's tensors of a component; nothing where it has none.
struct MergeSide {
  std::string model{};  ///< for messages
  std::shared_ptr<const StateDict> weights{};
};

/// What is done to each tensor of A.
struct MergeRule {
  bool difference = false;  ///< A + w (B - C), else (1 - w) A + w B
  std::function<double(std::string_view key)> weight{};
};

/// One adapter's part in a tensor, and its scale.
using BakedParts = std::map<std::string, std::vector<std::pair<const WeightChange*, double>>>;

/// Holds the others' keys and shapes against A's. latent: how many of the U-Net's input channels are the latent's.
/// Adds the keys that only one side has to the warnings, a line a kind.
/// Throws ErrorKind::model naming component, models, keys and shapes.
void check_sides(const std::string& component, const MergeSide& a, const std::vector<MergeSide>& others, int64_t latent,
                 std::vector<std::string>& warnings);

/// Tensors that differ in shape, "unet: conv_in.weight: [320, 9, 3, 3], and [320, 4, 3, 3] in B", a line each.
std::vector<std::string> other_shapes(const std::string& component, const MergeSide& a, const MergeSide& other,
                                      int64_t latent);

/// plan: A's component as stored; it is computed from then on. The sides and parts must live as long.
void merge_component(ComponentPlan& plan, const MergeSide& a, const std::vector<MergeSide>& others,
                     const MergeRule& rule, const BakedParts& baked);

}  // namespace sdtorch
