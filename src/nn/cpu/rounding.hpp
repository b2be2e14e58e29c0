// Numbers to bytes, as fast as memory gives them.
#pragma once

#include <cstdint>

namespace sdtorch::cpu {

/// T: float, at::BFloat16, at::Half. The largest of |x|, 0 of none.
template <typename T>
float largest_magnitude(const T* x, int64_t count);

/// Each x / scale, kept within ±127 and rounded, halves to the even neighbour; 128 more, so that 128 stands for 0.
template <typename T>
void round_to_bytes(const T* x, int64_t count, float scale, uint8_t* to);

}  // namespace sdtorch::cpu
