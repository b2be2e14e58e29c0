// Where DPM-Solver evaluates the network, and which of its variants the config asks for.
#pragma once

#include <cstdint>

#include "sdtorch/diffusion/scheduler_config.hpp"

namespace sdtorch {

/// DPM-Solver++ integrates the prediction of x0, DPM-Solver that of the noise.
bool predicts_x0(const SchedulerConfig& config);

/// Order of step i of n: lower while the history is short, and at the end where the config asks for it.
int64_t dpm_order(const SchedulerConfig& config, int64_t i, int64_t n);

}  // namespace sdtorch
