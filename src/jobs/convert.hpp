// `sdtorch convert`: a model in another layout or type.
#pragma once

#include <ATen/ATen.h>

#include <optional>
#include <string>

#include "jobs/model_output.hpp"
#include "jobs/model_plan.hpp"

namespace sdtorch {

struct ConvertOptions {
  ModelInput input{};
  std::string dtype = "keep";  ///< of the stored weights: fp32, fp16, bf16; keep: each one's own
  ModelTarget output{};
};

/// The type that `--dtype` names; nothing for `keep`. Throws ErrorKind::usage for others.
std::optional<at::ScalarType> stored_type(const std::string& name);

/// Writes the model as OUT. What it draws is the same, bit for bit, where the weights keep their type. From one single
/// file to another nothing is renamed, and what stands beside the weights stays, unless pruned.
/// Throws what plan_model and write_model do.
void convert_model(const ConvertOptions& options);

}  // namespace sdtorch
