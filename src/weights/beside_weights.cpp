#include "weights/beside_weights.hpp"

#include <utility>

#include "weights/key_names.hpp"

namespace sdtorch {
namespace {

constexpr const char* ema_kind = "model_ema.* (moving averages of the weights)";
constexpr const char* loss_kind = "loss.* (training)";
constexpr const char* embedding_kind = "embedding_manager.* (an embedding that was trained along)";

/// Tensors that checkpoints keep beside the weights of what draws.
constexpr std::pair<std::string_view, const char*> left_rules[] = {
    {"model_ema.", ema_kind},
    {"first_stage_model.model_ema.", ema_kind},
    {"first_stage_model.loss.", loss_kind},
    {"loss.", loss_kind},
    {"alphas_cumprod", "noise schedule"},
    {"betas", "noise schedule"},
    {"sqrt_", "noise schedule"},
    {"log_one_minus_alphas", "noise schedule"},
    {"posterior_", "noise schedule"},
    {"logvar", "noise schedule"},
    {"lvlb_weights", "noise schedule"},
    {"denoiser.", "noise schedule"},
    {"scale_factor", "noise schedule"},
    {"v_pred", "marks of the prediction"},
    {"ztsnr", "marks of the prediction"},
    {"edm_", "marks of the prediction"},
    {"cond_stage_model.logit_scale", "CLIP's other half"},
    {"cond_stage_model.transformer.text_projection.", "CLIP's other half"},
    {"cond_stage_model.transformer.logit_scale", "CLIP's other half"},
    {"conditioner.embedders.0.transformer.text_projection.", "CLIP's other half"},
    {"conditioner.embedders.0.transformer.logit_scale", "CLIP's other half"},
    {"embedding_manager.", embedding_kind},
};

}  // namespace

std::string kind_beside_weights(std::string_view key) {
  for (const auto& [start, kind] : left_rules) {
    if (key.starts_with(start)) return kind;
  }
  return is_no_weight(key) ? "buffers (positions, masks, counters)" : "";
}

bool is_of_training(std::string_view kind) { return kind == ema_kind || kind == loss_kind || kind == embedding_kind; }

}  // namespace sdtorch
