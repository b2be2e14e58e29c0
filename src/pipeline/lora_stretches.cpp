#include "pipeline/lora_stretches.hpp"

#include <algorithm>
#include <utility>

namespace sdtorch {
namespace {

bool same_text(const std::vector<ResolvedLora>& loras, int64_t a, int64_t b, int64_t steps) {
  return std::ranges::all_of(loras, [&](const ResolvedLora& lora) {
    return !lora.text_varies() || lora.text_encoder.at(a, steps) == lora.text_encoder.at(b, steps);
  });
}

}  // namespace

bool vary(const std::vector<ResolvedLora>& loras) {
  return std::ranges::any_of(loras,
                             [](const ResolvedLora& lora) { return lora.unet.varies() || lora.text_encoder.varies(); });
}

std::vector<TextStretch> encode_stretches(const AdaptedNetworks::Use& networks, const std::vector<ResolvedLora>& loras,
                                          int64_t steps, const std::function<std::vector<TextConditions>()>& encode) {
  if (!vary(loras)) return {{.texts = encode()}};
  std::vector<TextStretch> stretches;
  for (int64_t step = 0; step < std::max<int64_t>(steps, 1); ++step) {
    if (!stretches.empty() && same_text(loras, stretches.back().first_step, step, steps)) continue;
    networks.take(set_at(loras, 0, step, steps));
    stretches.push_back({.first_step = step, .texts = encode()});
  }
  return stretches;
}

Model over_stretches(const std::vector<TextStretch>& stretches, const AdaptedNetworks::Use& networks,
                     const std::vector<ResolvedLora>& loras,
                     const std::function<Model(const std::vector<TextConditions>& texts)>& of_texts) {
  if (!vary(loras)) return of_texts(stretches.front().texts);
  std::vector<std::pair<int64_t, Model>> models;
  for (const TextStretch& stretch : stretches) models.emplace_back(stretch.first_step, of_texts(stretch.texts));
  return [&networks, &loras, models = std::move(models)](const at::Tensor& x, const DenoiserCall& call) {
    // The text encoders have said what they had to, and stay.
    networks.take(set_at(loras, call.step, models.back().first, call.steps));
    const auto later = std::ranges::find_if(models, [&](const auto& model) { return model.first > call.step; });
    return std::prev(later)->second(x, call);
  };
}

}  // namespace sdtorch
