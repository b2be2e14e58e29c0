#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "weights/key_names.hpp"
#include "weights/state_dict.hpp"

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

/// Matrix products may round by where in memory a matrix begins (MKL's documentation of reproducibility): a model must
/// not draw otherwise because its file's header is longer. Convolutions pack their weights themselves.
at::Tensor aligned(const at::Tensor& weight) {
  constexpr uintptr_t boundary = 64;  // bytes
  const bool matrix = weight.dim() == 2 && weight.is_cpu();
  return matrix && reinterpret_cast<uintptr_t>(weight.const_data_ptr()) % boundary != 0 ? weight.clone() : weight;
}

}  // namespace

void bind_weights(torch::nn::Module& module, StateDict weights, at::ScalarType dtype, at::Device device,
                  const std::string& name) {
  std::vector<std::pair<std::string, at::Tensor>> slots;
  for (const auto& item : module.named_parameters()) slots.emplace_back(item.key(), item.value());
  for (const auto& item : module.named_buffers()) slots.emplace_back(item.key(), item.value());

  Report report(weights);
  std::set<std::string> known;
  for (const auto& [key, slot] : slots) {
    known.insert(key);
    const auto found = weights.find(key);
    if (found == weights.end()) {
      report.missing(key, slot);
    } else if (!fits(slot, found->second.tensor)) {
      report.misshapen(key, slot, found->second);
    }
  }
  for (const auto& [key, weight] : weights) {
    if (!known.contains(key) && !is_no_weight(key)) report.unexpected(key, weight);
  }
  report.throw_if_any(name);

  for (auto& [key, slot] : slots) {
    // Taken out of the dictionary, so that what was converted is let go before the next tensor is.
    const at::Tensor weight = weights.extract(key).mapped().tensor;
    const at::ScalarType type = slot.is_floating_point() ? dtype : slot.scalar_type();
    slot.set_requires_grad(false);
    slot.set_data(aligned(weight.to(device, type).contiguous()));
  }
}

}  // namespace sdtorch
