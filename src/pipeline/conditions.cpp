#include "pipeline/conditions.hpp"

#include <memory>
#include <utility>

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

CombinationRule composition(std::vector<double> scales) {
  return [scales = std::move(scales)](std::span<const at::Tensor> outputs, const DenoiserCall&) {
    at::Tensor sum = outputs[0];
    for (size_t i = 0; i < scales.size(); ++i) sum = sum + scales[i] * (outputs[i + 1] - outputs[0]);
    return sum;
  };
}

CombinationRule two_scales(double picture, double text) {
  return [picture, text](std::span<const at::Tensor> outputs, const DenoiserCall&) {
    return outputs[0] + text * (outputs[2] - outputs[1]) + picture * (outputs[1] - outputs[0]);
  };
}

}  // namespace sdtorch
