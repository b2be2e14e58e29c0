// A U-Net that is called again and again with inputs of the same shapes.
#pragma once

#include <cstdint>

#include "networks/unet.hpp"
#include "nn/captured.hpp"

namespace sdtorch {

/// unet.forward(input), of which calls remembers how (captured.hpp). A call with hooks into the attention, a DeepCache
/// or FreeU is always plain; in any other on a GPU, keys and values are made anew. expected: calls of this kind still
/// to come, this one included.
at::Tensor forward_captured(const UNet2DConditionModel& unet, CapturedCalls& calls, const UNetInput& input,
                            int64_t expected);

}  // namespace sdtorch
