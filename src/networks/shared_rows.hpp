// Conditions of one picture, text and no text, differ from the first attention to the context on. What stands before it
// is computed once a picture, and its rows then stand in for those of each condition.
#pragma once

#include <ATen/ATen.h>

#include <vector>

namespace sdtorch {

/// x: [P, …], P a divisor of rows → [rows, …], x again and again; x itself where it has so many rows.
inline at::Tensor for_rows(const at::Tensor& x, int64_t rows) {
  if (x.size(0) == rows) return x;
  return at::cat(std::vector<at::Tensor>(static_cast<size_t>(rows / x.size(0)), x));
}

}  // namespace sdtorch
