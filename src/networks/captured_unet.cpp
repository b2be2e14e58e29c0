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
  for (const auto* list : {&input.down_residuals, &input.block_residuals, &input.image.tokens}) {
    tensors.insert(tensors.end(), list->begin(), list->end());
  }
  return tensors;
}

/// like: how long its lists are, and what else than tensors is in it.
UNetInput from_flat(const std::vector<at::Tensor>& tensors, const UNetInput& like) {
  UNetInput input{.image = {.attention = like.image.attention}};
  auto next = tensors.begin();
  for (const auto member : single_inputs) input.*member = *next++;
  const auto take = [&](std::vector<at::Tensor>& list, size_t count) {
    const auto end = next + static_cast<std::ptrdiff_t>(count);
    list.assign(next, end);
    next = end;
  };
  take(input.down_residuals, like.down_residuals.size());
  take(input.block_residuals, like.block_residuals.size());
  take(input.image.tokens, like.image.tokens.size());
  return input;
}

}  // namespace

at::Tensor forward_captured(const UNet2DConditionModel& unet, CapturedCalls& calls, const UNetInput& input,
                            int64_t expected) {
  if (input.sample.is_cpu() || input.attention || input.freeu || input.deep_cache) return unet.forward(input);
  const auto forward = [&](const std::vector<at::Tensor>& tensors) { return unet.forward(from_flat(tensors, input)); };
  const std::string image = input.image.attention ? input.image.attention->name() : "";
  return calls(flat(input), forward,
               {.kind = fmt::format("{} {}{}", input.down_residuals.size(), input.block_residuals.size(), image),
                .expected = expected});
}

}  // namespace sdtorch
