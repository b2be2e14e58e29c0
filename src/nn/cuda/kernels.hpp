// What the kernels are asked for, in plain C++: the .cu files know no LibTorch, and their callers no CUDA.
#pragma once

#include <cstdint>

namespace sdtorch::cuda {

enum class Element { fp32, fp16, bf16 };

/// Group normalisation of pictures whose channels lie innermost (Wu & He 2018). All tensors are dense and of one type;
/// sums are fp32.
struct GroupNormCall {
  Element type = Element::fp32;
  const void* x = nullptr;             ///< [images, pixels, channels]
  const void* channel_bias = nullptr;  ///< [channels], added to x before anything else; may be none
  const void* shift = nullptr;         ///< [images, channels], likewise
  const void* weight = nullptr;        ///< [channels]
  const void* bias = nullptr;          ///< [channels]
  void* y = nullptr;                   ///< as x
  float* partial = nullptr;            ///< [group_norm_workspace()]
  int images = 0, pixels = 0, channels = 0, groups = 0;
  float eps = 0;
  bool silu = false;       ///< y is activated
  void* stream = nullptr;  ///< cudaStream_t
};

/// Whether so many channels fit; others are not for launch_group_norm.
bool group_norm_takes(int64_t images, int64_t pixels, int64_t channels);

/// In floats; partial is not looked at.
int64_t group_norm_workspace(const GroupNormCall& call);

void launch_group_norm(const GroupNormCall& call);

/// y = a gelu(b), x being a and b side by side (Shazeer 2020, "GLU Variants Improve Transformer", eq. 6).
struct GeGluCall {
  Element type = Element::fp32;
  const void* x = nullptr;  ///< [rows, 2 width]
  void* y = nullptr;        ///< [rows, width]
  int64_t rows = 0, width = 0;
  void* stream = nullptr;  ///< cudaStream_t
};

void launch_geglu(const GeGluCall& call);

/// y = x + bias + residual.
struct AddCall {
  Element type = Element::fp32;
  const void* x = nullptr;         ///< [rows, channels]
  const void* bias = nullptr;      ///< [channels]; may be none
  const void* residual = nullptr;  ///< [rows, channels]; may be none
  void* y = nullptr;               ///< [rows, channels]; may be x
  int64_t rows = 0, channels = 0;
  void* stream = nullptr;  ///< cudaStream_t
};

void launch_add(const AddCall& call);

}  // namespace sdtorch::cuda
