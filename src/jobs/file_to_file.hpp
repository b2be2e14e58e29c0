// A single file rewritten as another one, tensor by tensor, under its own names.
#pragma once

#include <ATen/ATen.h>

#include <optional>

#include "jobs/model_output.hpp"
#include "jobs/model_plan.hpp"

namespace sdtorch {

/// Writes a model's single file as a .safetensors file: the weights in `type` where it is given, everything beside them
/// as it is; pruned, without moving averages, training state and what nothing here knows. Metadata and a settings file
/// beside the model go along. Returns false, with nothing done, where the file has its own tokenizer beside it, which
/// another name would not find: such a model is planned as a whole (model_plan.hpp).
/// Throws ErrorKind::model for a file that is no model that can be drawn with.
bool file_to_file(const ModelInput& input, const ModelTarget& output, std::optional<at::ScalarType> type);

}  // namespace sdtorch
