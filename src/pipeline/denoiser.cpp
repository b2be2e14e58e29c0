#include "sdtorch/pipeline/denoiser.hpp"

#include "sdtorch/diffusion/guidance.hpp"

namespace sdtorch {
namespace {

at::Tensor rows(const at::Tensor& context, int64_t images) { return context.expand({images, -1, -1}); }

}  // namespace

Model guided_denoiser(const Components& model, const Conditioning& text, const Request& request, int64_t images) {
  const bool guided = text.context.defined() && text.uncond_context.defined();
  const at::Tensor context =
      guided ? at::cat({rows(text.uncond_context, images), rows(text.context, images)})
             : rows(text.context.defined() ? text.context : text.uncond_context, images).contiguous();

  return [unet = model.unet, dtype = model.dtype, scale = request.cfg_scale, rescale = request.guidance_rescale, guided,
          context](const at::Tensor& x, double timestep) {
    const at::Tensor sample = (guided ? at::cat({x, x}) : x).to(dtype);
    const at::Tensor timesteps = at::full({sample.size(0)}, timestep, x.options().dtype(at::kFloat));
    at::Tensor output = unet->forward(sample, timesteps, context).to(at::kFloat);
    if (!guided) return output;
    const std::vector<at::Tensor> halves = output.chunk(2);
    return guide(halves[0], halves[1], scale, rescale);
  };
}

}  // namespace sdtorch
