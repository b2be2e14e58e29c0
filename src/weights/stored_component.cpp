#include "weights/stored_component.hpp"

#include <fmt/format.h>

#include <utility>

#include "core/dtype.hpp"
#include "core/error.hpp"
#include "core/interrupt.hpp"
#include "weights/mapped_tensor.hpp"

namespace sdtorch {
namespace {

bool all_finite(const at::Tensor& tensor) { return tensor.to(at::kFloat).isfinite().all().item<bool>(); }

}  // namespace

at::Tensor in_stored_type(const at::Tensor& computed, const std::string& file, const std::string& key,
                          at::ScalarType type) {
  if (computed.scalar_type() == type) return computed;
  at::Tensor made = computed.to(type);
  if (at::isFloatingType(type) && !all_finite(made) && all_finite(computed)) {
    fail(ErrorKind::non_finite, file, key, fmt::format("holds numbers that {} has no place for", dtype_name(type)),
         "give --dtype bf16 or --dtype fp32");
  }
  return made;
}

at::Tensor in_stored_type(const SourcedTensor& weight, const std::string& key, at::ScalarType type) {
  at::Tensor made = in_stored_type(weight.tensor, weight.file, key, type);
  if (!made.is_alias_of(weight.tensor)) release_pages(weight.tensor);
  return made;
}

ComponentPlan stored_component(std::string name, nlohmann::json config, std::shared_ptr<const StateDict> weights,
                               std::optional<at::ScalarType> type) {
  ComponentPlan plan{.name = std::move(name), .config = std::move(config)};
  for (const auto& [key, weight] : *weights) {
    const bool real = weight.tensor.is_floating_point();
    plan.tensors[key] = {.type = type && real ? *type : weight.tensor.scalar_type(),
                         .shape = weight.tensor.sizes().vec()};
  }
  plan.make = [weights = std::move(weights)](const std::string& key, const TensorPlan& tensor) {
    throw_if_interrupted();
    return in_stored_type(weights->at(key), key, tensor.type);
  };
  return plan;
}

}  // namespace sdtorch
