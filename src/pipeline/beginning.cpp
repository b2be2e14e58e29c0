#include "pipeline/beginning.hpp"

#include <utility>
#include <vector>

#include "pipeline/encode.hpp"
#include "pipeline/settings.hpp"

namespace sdtorch {
namespace {

/// fp32 [1, 1, H, W] in 0…1
at::Tensor to_tensor(const GreyImage& grey) {
  const at::Tensor bytes = at::from_blob(const_cast<uint8_t*>(grey.pixels.data()), {1, 1, grey.height, grey.width},
                                         at::TensorOptions(at::kByte));
  return bytes.to(at::kFloat) / 255;
}

/// Each picture's part, joined along the batch axis.
template <typename Part>
std::vector<at::Tensor> of_each(std::span<const ResolvedRequest> batch, Part part) {
  std::vector<at::Tensor> tensors;
  for (const ResolvedRequest& picture : batch) tensors.push_back(part(picture));
  return tensors;
}

void show_latent(const Observer& observer, std::string_view name, const at::Tensor& tensor) {
  if (observer.on_tensor && tensor.defined()) observer.on_tensor(name, tensor);
}

}  // namespace

Blend::Blend(const SamplingPlan& plan, at::Tensor x0, at::Tensor noise, at::Tensor mask)
    : plan_(plan), x0_(std::move(x0)), noise_(std::move(noise)), mask_(std::move(mask)) {}

at::Tensor Blend::after_step(const SamplerStep& step) const {
  if (!mask_.defined()) return step.latent;
  if (step.index + 1 < step.count) return within_step(step.latent, step.next_sigma);
  return mask_ * step.latent + (1 - mask_) * x0_;
}

at::Tensor Blend::within_step(const at::Tensor& x, double sigma) const {
  if (!mask_.defined()) return x;
  return mask_ * x + (1 - mask_) * noised_to(plan_, x0_, noise_, sigma);
}

Beginning begin_batch(const Components& model, std::span<const ResolvedRequest> batch, Noise& noise,
                      const Observer& observer) {
  const ResolvedRequest& shared = batch.front();
  const std::vector<int64_t> shape{model.description.vae.latent_channels, shared.latent_height, shared.latent_width};
  const bool started = shared.start.has_value(), masked = started && shared.start->mask.has_value();
  const bool sees_mask = model.description.task == Task::inpainting;
  const bool instructed = model.description.task == Task::instruct_pix2pix;
  // A mask at full strength starts from noise alone, but what is kept has to be known.
  const bool from_noise = !started || instructed || (masked && strength_of(shared.request) == 1);

  std::vector<at::Tensor> pictures;
  if (started) pictures = of_each(batch, [](const ResolvedRequest& one) { return to_tensor(one.start->image); });
  at::Tensor x0;
  if (started && !instructed && !(from_noise && sees_mask)) x0 = encode_pictures(model, pictures, noise, shared.tiles);
  show_latent(observer, "init_latent", x0);
  const at::Tensor unit = noise.draw_start(shape).to(model.device);
  show_latent(observer, "noise", unit);
  Beginning beginning{.start =
                          from_noise ? start_from_noise(shared.plan, unit) : start_from_picture(shared.plan, x0, unit)};
  if (instructed) beginning.extra_channels = encode_modes(model, pictures, shared.tiles);
  if (shared.depth) {
    const LoadedDepthEstimator* estimator = model.depth_estimator ? &*model.depth_estimator : nullptr;
    beginning.extra_channels = at::cat(of_each(batch, [&](const ResolvedRequest& one) {
      return depth_channel_of(estimator, *one.depth, at::IntArrayRef(shape).slice(1)).to(model.device);
    }));
    show_latent(observer, "depth", beginning.extra_channels);
  }
  if (!masked) return beginning;

  const std::vector<at::Tensor> masks =
      of_each(batch, [](const ResolvedRequest& one) { return to_tensor(*one.start->mask).ge(0.5).to(at::kFloat); });
  const at::Tensor mask =
      at::upsample_nearest2d(at::cat(masks), {shared.latent_height, shared.latent_width}).to(model.device);
  show_latent(observer, "mask", mask);
  if (sees_mask) {
    for (size_t i = 0; i < pictures.size(); ++i) pictures[i] = pictures[i] * (1 - masks[i]);
    beginning.extra_channels = at::cat({mask, encode_pictures(model, pictures, noise, shared.tiles)}, 1);
  } else {
    noise.draw_encoding(shape);  // of the masked picture, which diffusers samples for models that do not see it, too
    beginning.blend = Blend(shared.plan, x0, unit, mask);
  }
  return beginning;
}

at::Tensor keep_unmasked(std::span<const ResolvedRequest> batch, const at::Tensor& drawn) {
  std::vector<at::Tensor> pictures;
  for (size_t i = 0; i < batch.size(); ++i) {
    at::Tensor picture = drawn.narrow(0, static_cast<int64_t>(i), 1);
    if (batch[i].request.keep_unmasked) {
      const StartPicture& start = *batch[i].start;
      const at::Tensor mask = to_tensor(*start.mask), own = (to_tensor(start.image) + 1) / 2;
      picture = at::where(mask == 0, own, mask * picture + (1 - mask) * own);
    }
    pictures.push_back(picture);
  }
  return at::cat(pictures);
}

}  // namespace sdtorch
