// The networks on a GPU: the same goldens, with room for its kernels' other order of summing.
#include <ATen/Context.h>

#include "networks/golden_network.hpp"
#include "support/catch.hpp"
#include "support/cuda.hpp"
#include "support/tolerance.hpp"

namespace {

/// fp32 means fp32: cuDNN's convolutions would round their inputs to TF32 otherwise.
struct ExactFp32 {
  bool kept = at::globalContext().allowTF32CuDNN();
  ExactFp32() { at::globalContext().setAllowTF32CuDNN(false); }
  ~ExactFp32() { at::globalContext().setAllowTF32CuDNN(kept); }
};

}  // namespace

TEST_CASE("on CUDA the text encoder equals transformers'", "[networks][cuda]") {
  if (no_cuda_device()) return;
  const ExactFp32 exact;
  for (const char* name : {"clip_quick_gelu", "clip_gelu"}) {
    check_exact(load_golden_network(name), run_clip, tolerance::tensor_relative, at::kCUDA);
    check_half_types(load_golden_network(name), run_clip, at::kCUDA);
  }
}

TEST_CASE("on CUDA the U-Net equals diffusers'", "[networks][cuda]") {
  if (no_cuda_device()) return;
  const ExactFp32 exact;
  for (const char* name : {"unet_sd1", "unet_sd2", "unet_odd_size"}) {
    check_exact(load_golden_network(name), run_unet, tolerance::tensor_relative, at::kCUDA);
    check_half_types(load_golden_network(name), run_unet, at::kCUDA);
  }
}

TEST_CASE("on CUDA the autoencoder equals diffusers'", "[networks][cuda]") {
  if (no_cuda_device()) return;
  const ExactFp32 exact;
  check_exact(load_golden_network("vae_sd"), run_vae, tolerance::tensor_relative, at::kCUDA);
  check_half_types(load_golden_network("vae_sd"), run_vae, at::kCUDA);
}
