#include "pipeline/non_finite.hpp"

#include <c10/core/impl/VirtualGuardImpl.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/dtype.hpp"
#include "core/error.hpp"

namespace sdtorch {
namespace {

bool has_finite_texts(const std::vector<TextConditions>& texts) {
  const auto finite = [](const std::optional<Condition>& condition) {
    return !condition || is_finite(condition->context);
  };
  return std::ranges::all_of(
      texts, [&](const TextConditions& text) { return finite(text.conditional) && finite(text.unconditional); });
}

/// step: its index.
std::string likely_cause(int64_t step, const Components& model, const std::vector<TextConditions>& texts,
                         const Request& request) {
  const bool narrow = model.dtype != at::kFloat;
  const std::string wider = fmt::format("{} may be too narrow for it: try --dtype fp32", dtype_name(model.dtype));
  if (!has_finite_texts(texts)) {
    return "so has what the text encoder makes of the prompt; " + (narrow ? wider : "check that encoder's weights");
  }
  for (const auto& weight : model.unet->named_parameters()) {
    if (is_finite(weight.value())) continue;
    return fmt::format("so has the U-Net's {}: {}", weight.key(), narrow ? wider : "its file is damaged");
  }
  constexpr double strong = 1000;  // far beyond what pictures come of
  if (request.cfg_scale > strong) return fmt::format("try less than --cfg-scale {}", request.cfg_scale);
  if (narrow) return wider;
  if (step == 0) return "check the U-Net's weights";
  return fmt::format("check the U-Net's weights, or try less than --cfg-scale {} or another --sampler",
                     request.cfg_scale);
}

}  // namespace

bool is_finite(const at::Tensor& tensor) {
  return at::isfinite(tensor.is_mkldnn() ? tensor.to_dense() : tensor).all().item<bool>();
}

void FiniteWatch::look(const SamplerStep& step) {
  if (!step.latent.is_cuda()) return judge(is_finite(step.latent), step.index, step.count);
  Queued now{.index = step.index,
             .count = step.count,
             .zero = at::empty({}, at::TensorOptions(at::kFloat).pinned_memory(true)),
             .there = c10::Event(step.latent.device().type())};
  now.zero.copy_((step.latent * 0).sum(), /*non_blocking=*/true);
  now.there.record(c10::impl::VirtualGuardImpl(step.latent.device().type()).getStream(step.latent.device()));
  finish();
  queued_.emplace(std::move(now));
}

void FiniteWatch::finish() {
  if (!queued_) return;
  const Queued last = std::move(*queued_);
  queued_.reset();
  last.there.synchronize();
  judge(last.zero.item<float>() == 0, last.index, last.count);
}

void FiniteWatch::judge(bool finite, int64_t index, int64_t count) const {
  if (finite) return;
  throw Error(
      ErrorKind::non_finite,
      {.reason = fmt::format("after step {} of {} the latent has numbers that are not finite", index + 1, count),
       .hint = likely_cause(index, model_, texts_, request_)});
}

}  // namespace sdtorch
