#include "networks/captured_unet.hpp"

#include <fmt/format.h>

#include <vector>

namespace sdtorch {
namespace {

/// The members that stand by themselves, in one order for both ways.
constexpr at::Tensor UNetInput::*single_inputs[] = {
    &UNetInput::sample,   &UNetInput::timestep, &UNetInput::context,        &UNetInput::pooled,
    &UNetInput::time_ids, &UNetInput::guidance, &UNetInput::extra_channels, &UNetInput::mid_residual};

std::vector<at::Tensor> flat(const UNetInput& input) {
  std::vector<at::Tensor> tensors;
  for (const auto member : single_inputs) tensors.push_back(input.*member);
  for (const auto* list : {&input.down_residuals, &input.block_residuals}) {
    tensors.insert(tensors.end(), list->begin(), list->end());
  }
  return tensors;
}

UNetInput from_flat(const std::vector<at::Tensor>& tensors, size_t down_residuals) {
  UNetInput input;
  auto next = tensors.begin();
  for (const auto member : single_inputs) input.*member = *next++;
  const auto split = next + static_cast<std::ptrdiff_t>(down_residuals);
  input.down_residuals.assign(next, split);
  input.block_residuals.assign(split, tensors.end());
  return input;
}

}  // namespace

at::Tensor forward_captured(const UNet2DConditionModel& unet, CapturedCalls& calls, const UNetInput& input,
                            int64_t expected) {
  if (input.attention || input.freeu || input.deep_cache) return unet.forward(input);
  const size_t residuals = input.down_residuals.size();
  const auto forward = [&](const std::vector<at::Tensor>& tensors) {
    return unet.forward(from_flat(tensors, residuals));
  };
  return calls(flat(input), forward,
               {.kind = fmt::format("{} {}", residuals, input.block_residuals.size()), .expected = expected});
}

}  // namespace sdtorch
