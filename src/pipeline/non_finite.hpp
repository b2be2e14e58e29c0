// Numbers that are no longer numbers, and what they may come from.
#pragma once

#include <ATen/ATen.h>
#include <c10/core/Event.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "diffusion/sampler.hpp"
#include "pipeline/components.hpp"
#include "pipeline/text_conditions.hpp"

namespace sdtorch {

/// Whether none is NaN or infinite.
bool is_finite(const at::Tensor& tensor);

/// Looks at the latent that each step ends with. On a GPU, which looking at would leave idle, a step is judged when the
/// next one is queued.
class FiniteWatch {
 public:
  /// model: which draws the steps; texts, request: what it is given. All must outlive it.
  FiniteWatch(const Components& model, const std::vector<TextConditions>& texts, const Request& request)
      : model_(model), texts_(texts), request_(request) {}

  /// Throws ErrorKind::non_finite naming the step, and what is likely to be at fault, for one that has such numbers.
  void look(const SamplerStep& step);

  /// After the last step: throws as look does.
  void finish();

 private:
  /// A step that is not judged yet.
  struct Queued {
    int64_t index = 0, count = 0;
    at::Tensor zero{};  ///< fp32 in pinned memory: 0, or NaN where the latent has such a number
    c10::Event there;   ///< when it is
  };

  void judge(bool finite, int64_t index, int64_t count) const;

  const Components& model_;
  const std::vector<TextConditions>& texts_;
  const Request& request_;
  std::optional<Queued> queued_{};
};

}  // namespace sdtorch
