#include "pipeline/conditions.hpp"

#include <memory>

#include "diffusion/guidance.hpp"

namespace sdtorch {

ChangingCondition always(Condition condition) {
  return [kept = std::make_shared<const Condition>(std::move(condition))](const DenoiserCall&) -> const Condition& {
    return *kept;
  };
}

CombinationRule alone() {
  return [](std::span<const at::Tensor> outputs, const DenoiserCall&) { return outputs.front(); };
}

CombinationRule guidance(double scale, double rescale) {
  return [scale, rescale](std::span<const at::Tensor> outputs, const DenoiserCall&) {
    return guide(outputs[0], outputs[1], scale, rescale);
  };
}

CombinationRule composition(std::vector<double> weights) {
  return [weights = std::move(weights)](std::span<const at::Tensor> outputs, const DenoiserCall&) {
    at::Tensor sum = outputs[0];
    for (size_t i = 0; i < weights.size(); ++i) sum = sum + weights[i] * (outputs[i + 1] - outputs[0]);
    return sum;
  };
}

}  // namespace sdtorch
