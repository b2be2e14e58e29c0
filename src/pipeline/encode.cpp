#include "pipeline/encode.hpp"

#include "core/error.hpp"
#include "core/log.hpp"
#include "pipeline/non_finite.hpp"

namespace sdtorch {
namespace {

LatentDistribution distribution(const Components& model, const at::Tensor& picture) {
  const auto encode_in = [&](AutoencoderKL& vae, at::ScalarType dtype) {
    const LatentDistribution said = vae.encode(picture.to(dtype));
    return LatentDistribution{.mean = said.mean.to(at::kFloat), .logvar = said.logvar.to(at::kFloat)};
  };
  LatentDistribution encoded = encode_in(*model.vae, model.vae_dtype);
  const auto finite = [&] { return is_finite(encoded.mean) && is_finite(encoded.logvar); };
  if (!finite() && model.vae_dtype != at::kFloat) {
    log_warning("the encoded picture has numbers that are not finite; encoding again in fp32");
    encoded = encode_in(*model.vae_in_fp32(), at::kFloat);
  }
  if (!finite()) {
    throw Error(ErrorKind::non_finite,
                {.reason = "the encoded picture has numbers that are not finite", .hint = "check the VAE's weights"});
  }
  return encoded;
}

}  // namespace

at::Tensor to_tensor(const Image& image) {
  const at::Tensor bytes = at::from_blob(const_cast<uint8_t*>(image.pixels.data()), {image.height, image.width, 3},
                                         at::TensorOptions(at::kByte));
  return (bytes.to(at::kFloat) / 255 * 2 - 1).permute({2, 0, 1}).unsqueeze(0).contiguous();
}

at::Tensor encode_pictures(const Components& model, const std::vector<at::Tensor>& pictures, Noise& noise) {
  std::vector<at::Tensor> means, deviations;
  for (const at::Tensor& picture : pictures) {
    const LatentDistribution encoded = distribution(model, picture.to(model.device));
    means.push_back(encoded.mean);
    deviations.push_back((encoded.logvar * 0.5).exp());
  }
  const at::Tensor mean = at::cat(means);
  const at::Tensor latent = mean + at::cat(deviations) * noise.draw_encoding(mean.sizes().slice(1)).to(model.device);
  return (latent - model.description.vae.shift_factor) * model.description.vae.scaling_factor;
}

at::Tensor encode_modes(const Components& model, const std::vector<at::Tensor>& pictures) {
  std::vector<at::Tensor> modes;
  for (const at::Tensor& picture : pictures) modes.push_back(distribution(model, picture.to(model.device)).mean);
  return at::cat(modes);
}

}  // namespace sdtorch
