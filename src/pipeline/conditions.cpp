#include "pipeline/conditions.hpp"

#include <memory>
#include <utility>

#include "diffusion/guidance.hpp"

namespace sdtorch {
namespace {

at::Tensor thresholded_guidance(const at::Tensor& away, const at::Tensor& to, double scale,
                                const DynamicThreshold& threshold, const at::Tensor& x, Mixture at) {
  const auto x0 = [&](const at::Tensor& output) { return predicted_x0(threshold.prediction, output, x, at); };
  const at::Tensor kept = mimicked(x0(away), x0(to), scale, threshold.mimic_scale, threshold.quantile);
  return output_for_x0(threshold.prediction, kept, x, at);
}

}  // namespace

ChangingCondition always(Condition condition) {
  return [kept = std::make_shared<const Condition>(std::move(condition))](const DenoiserCall&) { return kept.get(); };
}

CombinationRule alone() {
  return [](std::span<const at::Tensor> outputs, const at::Tensor&, const DenoiserCall&) { return outputs.front(); };
}

CombinationRule guidance(GuidanceRule rule) {
  return [rule](std::span<const at::Tensor> outputs, const at::Tensor& x, const DenoiserCall& call) {
    const at::Tensor &away = outputs[0], &to = outputs[1];
    const bool guides = away.defined();
    at::Tensor guided = to;
    if (guides && rule.threshold) {
      guided = thresholded_guidance(away, to, rule.scale, *rule.threshold, x, mixture_at_call(call.sigma));
    } else if (guides) {
      guided = guide(away, to, rule.scale);
    }
    if (rule.pag_scale != 0) guided = guided + rule.pag_scale * (to - outputs[2]);
    return guides ? rescaled(guided, to, rule.rescale) : guided;
  };
}

CombinationRule perturbed_guidance(double pag_scale) {
  return [pag_scale](std::span<const at::Tensor> outputs, const at::Tensor&, const DenoiserCall&) {
    return outputs[0] + pag_scale * (outputs[0] - outputs[1]);
  };
}

CombinationRule two_scales(double picture, double text) {
  return [picture, text](std::span<const at::Tensor> outputs, const at::Tensor&, const DenoiserCall&) -> at::Tensor {
    if (!outputs[0].defined()) return outputs[2];
    return outputs[0] + text * (outputs[2] - outputs[1]) + picture * (outputs[1] - outputs[0]);
  };
}

}  // namespace sdtorch
