#include "pipeline/denoiser.hpp"

#include <cmath>

#include "diffusion/guidance.hpp"

namespace sdtorch {
namespace {

/// The two sides of guidance in the order of the batch: the negative one first.
struct Sides {
  bool conditional, unconditional;
  int64_t images;

  /// [1, …] each → [B, …], or [2B, …] for both sides; undefined where they are.
  at::Tensor join(const at::Tensor& uncond, const at::Tensor& cond) const {
    const auto rows = [&](const at::Tensor& one) {
      std::vector<int64_t> repeats(static_cast<size_t>(one.dim()), 1);
      repeats.front() = images;
      return one.repeat(repeats);
    };
    const at::Tensor& any = conditional ? cond : uncond;
    if (!any.defined()) return {};
    return conditional && unconditional ? at::cat({rows(uncond), rows(cond)}) : rows(any);
  }
};

/// The guidance scale as the network of a guidance-distilled model takes it: w = scale - 1 (Luo et al. 2023,
/// section 4.2), embedded. In fp32 and in the reference's order: an angle is up to 1000 w. → fp32 [1, width]
at::Tensor guidance_embedding(double scale, int64_t width) {
  constexpr float longest_period = 10000;
  const int64_t half = width / 2;
  const at::Tensor w = at::full({1}, scale - 1, at::kFloat) * 1000.0;
  const float step = std::log(longest_period) / static_cast<float>(half - 1);
  const at::Tensor frequencies = (at::arange(half, at::kFloat) * -step).exp();
  const at::Tensor angle = w.unsqueeze(1) * frequencies.unsqueeze(0);
  const at::Tensor waves = at::cat({angle.sin(), angle.cos()}, 1);
  return width % 2 == 0 ? waves : at::constant_pad_nd(waves, {0, 1});
}

}  // namespace

Model guided_denoiser(const Components& model, const Conditioning& text, const Request& request, int64_t images) {
  const Sides sides{
      .conditional = text.context.defined(), .unconditional = text.uncond_context.defined(), .images = images};
  UNetInput input{.context = sides.join(text.uncond_context, text.context),
                  .pooled = sides.join(text.uncond_pooled, text.pooled),
                  .time_ids = sides.join(text.uncond_time_ids, text.time_ids)};
  if (const int64_t width = model.unet->config().time_cond_proj_dim; width > 0) {
    input.guidance = guidance_embedding(request.cfg_scale, width).to(model.device).repeat({images, 1});
  }
  const bool guided = sides.conditional && sides.unconditional;
  return [unet = model.unet, dtype = model.dtype, scale = request.cfg_scale, rescale = request.guidance_rescale, guided,
          input](const at::Tensor& x, double timestep) {
    UNetInput call = input;
    call.sample = (guided ? at::cat({x, x}) : x).to(dtype);
    call.timestep = at::full({call.sample.size(0)}, timestep, x.options().dtype(at::kFloat));
    at::Tensor output = unet->forward(call).to(at::kFloat);
    if (!guided) return output;
    const std::vector<at::Tensor> halves = output.chunk(2);
    return guide(halves[0], halves[1], scale, rescale);
  };
}

}  // namespace sdtorch
