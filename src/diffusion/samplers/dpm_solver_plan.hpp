// Where DPM-Solver evaluates the network, and which of its variants the config asks for.
#pragma once

#include "sdtorch/diffusion/scheduler_config.hpp"

namespace sdtorch {

/// DPM-Solver++ integrates the prediction of x0, DPM-Solver that of the noise.
bool predicts_x0(const SchedulerConfig& config);

}  // namespace sdtorch
