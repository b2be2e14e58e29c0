#include "adapters/lora_kinds.hpp"

#include <fmt/format.h>

#include <utility>

namespace sdtorch {
namespace {

/// LoRA (Hu et al. 2021): ΔW = α/r · up·down.
WeightChange plain_lora(const LoraLayer& layer, LoraTensors& tensors) {
  const LoraTensors::Part down = tensors.take("lora_down", 2), up = tensors.take("lora_up", 2);
  const std::vector<int64_t> shape = layer.weight.value_or(std::vector<int64_t>{});
  const int64_t rank = down.tensor.size(0);
  expect(
      !shape.empty() && up.tensor.size(0) == shape[0] && up.tensor.numel() == shape[0] * rank, up,
      fmt::format("{} does not fit the weight {} at rank {}", shape_text(up.tensor.sizes()), shape_text(shape), rank));
  expect(down.tensor.numel() / rank == c10::multiply_integers(shape) / shape[0], down,
         fmt::format("{} does not fit the weight {}", shape_text(down.tensor.sizes()), shape_text(shape)));
  const double factor = tensors.take_number("alpha").value_or(static_cast<double>(rank)) / static_cast<double>(rank);
  return {.component = layer.component,
          .key = layer.module + ".weight",
          .difference = [=](const at::Tensor& weight, double scale) {
            return as_fp32(up).flatten(1).mm(as_fp32(down).flatten(1)).mul_(factor * scale).view_as(weight);
          }};
}

}  // namespace

std::vector<WeightChange> lora_changes(const LoraLayer& layer, LoraTensors tensors) {
  std::vector<WeightChange> changes;
  changes.push_back(plain_lora(layer, tensors));
  if (!tensors.empty()) {
    throw LoraMisfit{.key = tensors.rest().begin()->second.key, .reason = "belongs to no kind of adapter"};
  }
  return changes;
}

}  // namespace sdtorch
