// Numbers that are no longer numbers, and what they may come from.
#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "diffusion/sampler.hpp"
#include "pipeline/components.hpp"
#include "pipeline/text_conditions.hpp"

namespace sdtorch {

/// Whether none is NaN or infinite.
bool is_finite(const at::Tensor& tensor);

/// Throws ErrorKind::non_finite naming the step, and what is likely to be at fault, for a latent that has such numbers.
/// model: which drew the step; texts, request: what it was given.
void check_finite(const SamplerStep& step, const Components& model, const std::vector<TextConditions>& texts,
                  const Request& request);

}  // namespace sdtorch
