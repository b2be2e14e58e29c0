#include "jobs/merge_tensors.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>

#include "core/error.hpp"
#include "core/interrupt.hpp"
#include "weights/key_names.hpp"
#include "weights/mapped_tensor.hpp"
#include "weights/stored_component.hpp"

namespace sdtorch {
namespace {

constexpr size_t most_listed = 20;
constexpr const char* input_key = "conv_in.weight";  // the U-Net's, whose channels a mask or a picture adds to

const SourcedTensor* find_weight(const MergeSide& side, const std::string& key) {
  if (!side.weights) return nullptr;
  const auto found = side.weights->find(key);
  return found == side.weights->end() ? nullptr : &found->second;
}

/// Whether b has the latent's channels of what a takes, and only these.
bool is_part_of(const at::Tensor& b, const at::Tensor& a, int64_t latent) {
  return a.dim() == 4 && b.dim() == 4 && a.size(0) == b.size(0) && a.sizes().slice(2) == b.sizes().slice(2) &&
         b.size(1) == latent && a.size(1) > latent;
}

std::string listed(std::vector<std::string> keys) {
  const size_t more = keys.size() > most_listed ? keys.size() - most_listed : 0;
  keys.resize(keys.size() - more);
  return fmt::format("{}{}", fmt::join(keys, ", "), more > 0 ? fmt::format(" and {} more", more) : "");
}

void list_lonely_keys(const std::string& component, const MergeSide& a, const MergeSide& other,
                      std::vector<std::string>& warnings) {
  if (!other.weights) {
    warnings.push_back(fmt::format("{} has no {}: A's is kept", other.model, component));
    return;
  }
  const auto lonely = [](const StateDict& mine, const StateDict& theirs) {
    std::vector<std::string> keys;
    for (const auto& [key, weight] : mine) {
      if (!theirs.contains(key) && !is_no_weight(key)) keys.push_back(key);
    }
    return keys;
  };
  if (const auto keys = lonely(*a.weights, *other.weights); !keys.empty()) {
    warnings.push_back(fmt::format("{}: {} tensors are not in {} and stay A's: {}", component, keys.size(), other.model,
                                   listed(keys)));
  }
  if (const auto keys = lonely(*other.weights, *a.weights); !keys.empty()) {
    warnings.push_back(fmt::format("{}: {} tensors of {} are not in A and are left out: {}", component, keys.size(),
                                   other.model, listed(keys)));
  }
}

at::Tensor exact(const SourcedTensor& weight) { return weight.tensor.to(at::kFloat); }

/// Its first input channels.
at::Tensor channels(const at::Tensor& tensor, int64_t count) {
  return tensor.dim() > 1 && tensor.size(1) > count ? tensor.narrow(1, 0, count) : tensor;
}

/// All in fp32; b and c may have fewer input channels than a, whose others stay.
at::Tensor combined(const at::Tensor& a, const at::Tensor& b, const at::Tensor& c, double w) {
  int64_t shared = a.dim() > 1 ? a.size(1) : 0;
  for (const at::Tensor& other : {b, c}) {
    if (other.defined() && other.dim() > 1) shared = std::min(shared, other.size(1));
  }
  const at::Tensor x = channels(a, shared), y = channels(b, shared);
  const at::Tensor mixed = c.defined() ? x + (y - channels(c, shared)) * w : x * (1 - w) + y * w;
  if (mixed.sizes() == a.sizes()) return mixed;
  return at::cat({mixed, a.narrow(1, shared, a.size(1) - shared)}, 1);
}

class ComponentMerge {
 public:
  ComponentMerge(const MergeSide& a, const std::vector<MergeSide>& others, const MergeRule& rule,
                 const BakedParts& baked)
      : a_(a), others_(others), rule_(rule), baked_(baked) {}

  at::Tensor make(const std::string& key, const TensorPlan& plan) const {
    throw_if_interrupted();
    const SourcedTensor& a = a_.weights->at(key);
    const double w = others_.empty() ? 0 : rule_.weight(key);
    const auto parts = baked_.find(key);
    const bool mixes = w != 0 && a.tensor.is_floating_point() &&
                       std::ranges::all_of(others_, [&](const MergeSide& side) { return find_weight(side, key); });
    if (!mixes && parts == baked_.end()) return in_stored_type(a, key, plan.type);
    at::Tensor sum = exact(a);
    if (mixes) {
      sum = combined(sum, exact(*find_weight(others_.front(), key)),
                     rule_.difference ? exact(*find_weight(others_.back(), key)) : at::Tensor(), w);
      for (const MergeSide& side : others_) release_pages(find_weight(side, key)->tensor);
    }
    if (parts != baked_.end()) sum = sum + differences(sum, parts->second);
    const at::Tensor rounded = in_stored_type(sum, a.file, key, plan.type);
    release_pages(a.tensor);
    return rounded;
  }

 private:
  /// Added up before they are added to the weight, as where they are drawn with.
  static at::Tensor differences(const at::Tensor& weight, const BakedParts::mapped_type& parts) {
    at::Tensor sum;
    for (const auto& [change, scale] : parts) {
      const at::Tensor difference = change->difference(weight, scale);
      sum = sum.defined() ? sum + difference : difference;
    }
    return sum;
  }

  const MergeSide& a_;
  const std::vector<MergeSide>& others_;
  const MergeRule& rule_;
  const BakedParts& baked_;
};

}  // namespace

std::vector<std::string> other_shapes(const std::string& component, const MergeSide& a, const MergeSide& other,
                                      int64_t latent) {
  std::vector<std::string> lines;
  if (!other.weights) return lines;
  for (const auto& [key, weight] : *a.weights) {
    const SourcedTensor* theirs = find_weight(other, key);
    if (!theirs || theirs->tensor.sizes() == weight.tensor.sizes() || is_no_weight(key)) continue;
    if (component == "unet" && key == input_key && is_part_of(theirs->tensor, weight.tensor, latent)) continue;
    lines.push_back(fmt::format("{}: {}: [{}], and [{}] in {}", component, key, fmt::join(weight.tensor.sizes(), ", "),
                                fmt::join(theirs->tensor.sizes(), ", "), other.model));
  }
  return lines;
}

void check_sides(const std::string& component, const MergeSide& a, const std::vector<MergeSide>& others, int64_t latent,
                 std::vector<std::string>& warnings) {
  for (const MergeSide& other : others) {
    const SourcedTensor *mine = find_weight(a, input_key), *theirs = find_weight(other, input_key);
    if (component == "unet" && mine && theirs && is_part_of(mine->tensor, theirs->tensor, latent)) {
      fail(ErrorKind::model, other.model, fmt::format("unet: {}", input_key),
           fmt::format("takes {} channels, and A's takes {}: A must be the model that takes more than its latent",
                       theirs->tensor.size(1), latent),
           "name it first");
    }
    std::vector<std::string> lines = other_shapes(component, a, other, latent);
    if (!lines.empty()) {
      const size_t count = lines.size();
      lines.resize(std::min(count, most_listed));
      fail(ErrorKind::model, other.model, {},
           fmt::format("is of other sizes than A:\n  {}{}", fmt::join(lines, "\n  "),
                       count > lines.size() ? fmt::format("\n  … and {} more", count - lines.size()) : ""));
    }
    list_lonely_keys(component, a, other, warnings);
  }
}

void merge_component(ComponentPlan& plan, const MergeSide& a, const std::vector<MergeSide>& others,
                     const MergeRule& rule, const BakedParts& baked) {
  plan.make = [merge = ComponentMerge(a, others, rule, baked)](const std::string& key, const TensorPlan& tensor) {
    return merge.make(key, tensor);
  };
}

}  // namespace sdtorch
