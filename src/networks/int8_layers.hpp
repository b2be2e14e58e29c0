// Which of the U-Net's layers may multiply 8-bit integers.
#pragma once

#include "networks/unet.hpp"

namespace sdtorch {

/// Before the weights are there. All convolutions and linear layers but the first and the last, those of timestep and
/// sizes, and those of the text: they are small, and what they say reaches every pixel.
void compute_in_int8(UNet2DConditionModel& unet);

}  // namespace sdtorch
