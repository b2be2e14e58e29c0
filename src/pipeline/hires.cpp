#include "pipeline/hires.hpp"

#include <ATen/ops/upsample_bicubic2d.h>
#include <ATen/ops/upsample_bilinear2d.h>

#include <algorithm>
#include <functional>
#include <string>
#include <utility>

#include "core/notes.hpp"
#include "diffusion/start.hpp"
#include "io/resize.hpp"
#include "pipeline/decode.hpp"
#include "pipeline/encode.hpp"
#include "pipeline/settings.hpp"
#include "pipeline/tiling.hpp"

namespace sdtorch {
namespace {

/// Tells of steps `before` later, as of a run of `count`.
std::function<void(const Step&)> counted(const Observer& observer, int64_t before, int64_t count) {
  if (!observer.on_step) return {};
  return [tell = observer.on_step, before, count](const Step& step) {
    tell({.index = before + step.index,
          .count = count,
          .timestep = step.timestep,
          .sigma = step.sigma,
          .latent = step.latent,
          .predicted = step.predicted});
  };
}

/// picture: fp32 [3, H, W] in 0…1
Image truncated(const at::Tensor& picture) {
  const at::Tensor bytes = (picture * 255).to(at::kByte).permute({1, 2, 0}).contiguous();
  const auto* first = bytes.const_data_ptr<uint8_t>();
  return {.width = bytes.size(1), .height = bytes.size(0), .pixels = {first, first + bytes.numel()}};
}

at::Tensor enlarged_in_pixels(const Components& model, const at::Tensor& latent, const ResolvedRequest& second,
                              Noise noise) {
  std::vector<at::Tensor> pictures;
  const DecodedPictures decoded = decode(model, latent, second.tiles);
  if (std::ranges::find(decoded.again_in_fp32, true) != decoded.again_in_fp32.end()) add_note(fp32_note);
  if (std::ranges::find(decoded.in_tiles, true) != decoded.in_tiles.end()) add_note(tiles_note);
  for (const at::Tensor& picture : decoded.pictures.unbind()) {
    pictures.push_back(to_tensor(fit(truncated(picture), *second.request.width, *second.request.height, Fit::stretch)));
  }
  return encode_pictures(model, pictures, noise, second.tiles);
}

at::Tensor enlarged(const Components& model, const at::Tensor& latent, const ResolvedRequest& second,
                    const Noise& noise) {
  const std::vector<int64_t> size{second.latent_height, second.latent_width};
  const std::string_view upscaler = hires_upscaler_of(second.request).name;
  if (upscaler == "lanczos") return enlarged_in_pixels(model, latent, second, noise.anew());
  return upscaler == "latent" ? at::upsample_bilinear2d(latent, size, /*align_corners=*/false)
                              : at::upsample_bicubic2d(latent, size, /*align_corners=*/false);
}

}  // namespace

Passes::Passes(std::span<const ResolvedRequest> batch, const Observer& observer) : first_observer_(observer) {
  for (const ResolvedRequest& picture : batch) {
    if (picture.hires) second_.push_back(*picture.hires);
  }
  if (!has_second()) return;
  const int64_t first = steps_of(batch.front().plan), all = first + steps_of(second_.front().plan);
  second_observer_.on_tensor = observer.on_tensor;
  first_observer_.on_step = counted(observer, 0, all);
  second_observer_.on_step = counted(observer, first, all);
  if (!observer.on_tensor) return;
  first_observer_.on_tensor = [show = observer.on_tensor](std::string_view name, const at::Tensor& tensor) {
    show("first." + std::string(name), tensor);
  };
}

Beginning Passes::begin_second(const Components& model, const at::Tensor& latent, Noise& noise) const {
  const ResolvedRequest& shared = second_.front();
  const at::Tensor x0 = enlarged(model, latent, shared, noise);
  const at::Tensor unit = noise.draw_start(x0.sizes().slice(1)).to(model.device);
  if (second_observer_.on_tensor) {
    second_observer_.on_tensor("init_latent", x0);
    second_observer_.on_tensor("noise", unit);
  }
  return {.start = start_from_picture(shared.plan, x0, unit)};
}

}  // namespace sdtorch
