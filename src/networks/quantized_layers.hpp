// Which of the U-Net's layers may multiply 8-bit numbers.
#pragma once

#include "networks/unet.hpp"

namespace sdtorch {

/// Before the weights are there. All convolutions (int8) and linear layers but the first and the last, those of
/// timestep and sizes, and those of the text: they are small, and what they say reaches every pixel.
void quantize(UNet2DConditionModel& unet, Quantization quantization);

}  // namespace sdtorch
