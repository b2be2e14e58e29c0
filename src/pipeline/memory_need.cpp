#include "pipeline/memory_need.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "core/dtype.hpp"
#include "core/error.hpp"
#include "core/free_memory.hpp"
#include "nn/fp8.hpp"

namespace sdtorch {
namespace {

/// Whether a layer on the CPU keeps its weight in an order of its own: convolutions whose channels come in blocks, and
/// matrices in bf16 (nn/cpu/packed.hpp).
bool is_reordered(const at::Tensor& weight, at::ScalarType type) {
  constexpr int64_t block = 64;
  if (weight.dim() == 4) return weight.size(0) % block == 0 && type != at::kHalf;
  return false;
}

uint64_t bytes_of(const at::Tensor& weight, const Placement& to, Quantization quantization) {
  if (!weight.is_floating_point()) return 0;
  const auto numbers = static_cast<uint64_t>(weight.numel());
  if (quantization == Quantization::int8 && weight.dim() > 1) return numbers;
  if (quantization == Quantization::fp8 && Fp8Weights::take(weight)) return numbers;
  const bool own = to.device.is_cuda() || weight.scalar_type() != to.dtype || is_reordered(weight, to.dtype);
  return own ? numbers * at::elementSize(to.dtype) : 0;
}

std::string hint_for(const Placement& to) {
  if (to.dtype == at::kFloat) return "--dtype bf16 needs half of it";
  return to.device.is_cuda() ? "--device cpu computes in this machine's memory" : "a smaller model needs less";
}

}  // namespace

double bytes_a_latent_pixel(const ModelDescription& model, at::ScalarType dtype) {
  // What is alive at once at the finest resolution, in tensors of its width: the skip connections, a feed-forward
  // layer's inner side and attention's projections, buffers of convolutions.
  constexpr double tensors = 24;
  return tensors * static_cast<double>(model.unet.levels.front().channels) *
         static_cast<double>(at::elementSize(dtype));
}

uint64_t bytes_needed(const StateDict& weights, const Placement& to, Quantization quantization) {
  uint64_t bytes = 0;
  for (const auto& [key, weight] : weights) bytes += bytes_of(weight.tensor, to, quantization);
  return bytes;
}

void require_memory(const ModelDescription& model, const std::map<std::string, StateDict>& files, const Placement& to,
                    Quantization quantization) {
  uint64_t needed = 0;
  for (const auto& [component, weights] : files)
    needed += bytes_needed(weights, to, component == "unet" ? quantization : Quantization::none);
  std::optional<FreeMemory> free = to.device.is_cuda() ? free_device_memory(to.device) : free_memory();
  if (const auto addresses = free_addresses(); addresses && to.device.is_cpu()) {
    if (!free || addresses->bytes < free->bytes) free = addresses;
  }
  if (!free || needed <= free->bytes) return;
  throw Error(ErrorKind::memory,
              {.file = model.source->path().string(),
               .reason = fmt::format("its weights need {} in {}, and {} has {} left", shown_bytes(needed),
                                     dtype_name(to.dtype), free->limit, shown_bytes(free->bytes)),
               .hint = hint_for(to)});
}

}  // namespace sdtorch
