// A component's weights as its model's files have them, planned for other files.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "weights/component_plan.hpp"

namespace sdtorch {

/// The tensor in another type, rounded once; what it was read from leaves memory.
/// Throws ErrorKind::non_finite naming key and file for a finite number that the type has no place for.
at::Tensor in_stored_type(const SourcedTensor& weight, const std::string& key, at::ScalarType type);

/// The same for a tensor that was computed in fp32 of one in `file`.
at::Tensor in_stored_type(const at::Tensor& computed, const std::string& file, const std::string& key,
                          at::ScalarType type);

/// All tensors as they are, in `type` where it is given and they are numbers with a point.
ComponentPlan stored_component(std::string name, nlohmann::json config, std::shared_ptr<const StateDict> weights,
                               std::optional<at::ScalarType> type);

}  // namespace sdtorch
