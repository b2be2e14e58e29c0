#include "pipeline/non_finite.hpp"

#include <fmt/format.h>

#include <algorithm>

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

std::string likely_cause(const SamplerStep& step, const Components& model, const std::vector<TextConditions>& texts,
                         const Request& request) {
  const bool narrow = model.dtype != at::kFloat;
  const std::string wider = fmt::format("{} may be too narrow for it: try --dtype fp32", dtype_name(model.dtype));
  if (!has_finite_texts(texts)) {
    return "so has what the text encoder makes of the prompt; " + (narrow ? wider : "check that encoder's weights");
  }
  for (const auto& weight : model.unet->named_parameters()) {
    if (!is_finite(weight.value())) return fmt::format("so has the U-Net's {}: its file is damaged", weight.key());
  }
  constexpr double strong = 1000;  // far beyond what pictures come of
  if (request.cfg_scale > strong) return fmt::format("try less than --cfg-scale {}", request.cfg_scale);
  if (narrow) return wider;
  if (step.index == 0) return "check the U-Net's weights";
  return fmt::format("check the U-Net's weights, or try less than --cfg-scale {} or another --sampler",
                     request.cfg_scale);
}

}  // namespace

bool is_finite(const at::Tensor& tensor) {
  return at::isfinite(tensor.is_mkldnn() ? tensor.to_dense() : tensor).all().item<bool>();
}

void check_finite(const SamplerStep& step, const Components& model, const std::vector<TextConditions>& texts,
                  const Request& request) {
  if (is_finite(step.latent)) return;
  throw Error(ErrorKind::non_finite,
              {.reason = fmt::format("after step {} of {} the latent has numbers that are not finite", step.index + 1,
                                     step.count),
               .hint = likely_cause(step, model, texts, request)});
}

}  // namespace sdtorch
