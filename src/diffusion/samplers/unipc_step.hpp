// The step of UniPC, which predicts and corrects by one formula.
#pragma once

#include <algorithm>
#include <vector>

#include "diffusion/sampler.hpp"

namespace sdtorch {

/// Settles solver_type, names of related solvers included, as diffusers maps them. Throws ErrorKind::model for what is
/// not supported, and for combinations that end in numbers that are none.
void settle_unipc_variant(SchedulerConfig& config);

struct UnipcStep {
  int64_t order = 1;     ///< 1…history's length
  at::Tensor arrived{};  ///< the prediction where the step ends, to correct it by; undefined: predict
};

/// Step `i` from x, with the predictions up to there in `history` (newest last): UniP, or UniC where `arrived` is
/// defined (Zhao et al. 2023, eq. 3 and 9, with B(h) = h or e^h - 1 as solver_type says).
at::Tensor unipc_step(const SamplingPlan& plan, size_t i, const at::Tensor& x, const std::vector<at::Tensor>& history,
                      const UnipcStep& step);

}  // namespace sdtorch
