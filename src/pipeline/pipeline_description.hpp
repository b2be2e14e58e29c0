// What a pipeline will be made of, told by configs and headers alone.
#pragma once

#include <ATen/ATen.h>

#include <optional>

#include "pipeline/model_description.hpp"
#include "sdtorch/pipeline.hpp"

namespace sdtorch {

struct PipelineDescription {
  ModelChoice choice{};  ///< device and dtype as they were resolved
  ModelDescription model{};
  std::optional<ModelDescription> refiner{};  ///< draws the last steps
  at::Device device = at::kCPU;
  at::ScalarType dtype = at::kFloat;
};

/// Reads and checks configs, tokenizers and headers, each by itself and against one another.
/// Throws ErrorKind::usage naming the flag, ErrorKind::model naming file and key.
PipelineDescription describe_pipeline(const ModelChoice& choice);

}  // namespace sdtorch
