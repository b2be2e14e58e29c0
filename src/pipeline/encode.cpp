#include "pipeline/encode.hpp"

#include "core/error.hpp"
#include "core/log.hpp"
#include "core/notes.hpp"
#include "pipeline/decode.hpp"
#include "pipeline/non_finite.hpp"
#include "pipeline/tiling.hpp"

namespace sdtorch {
namespace {

LatentDistribution distribution(const Components& model, const Autoencoder& encoder, const at::Tensor& picture,
                                const std::optional<TileSize>& tiles) {
  TileFallback in_memory(model.description, model.device, picture.size(2), picture.size(3), tiles);
  const auto encoded_by = [&](const Autoencoder& vae) {
    return in_memory([&](const std::optional<TileSize>& fitting) { return vae.encode(picture, fitting); });
  };
  LatentDistribution encoded = encoded_by(encoder);
  const auto finite = [&] {
    return is_finite(encoded.mean) && (!encoded.logvar.defined() || is_finite(encoded.logvar));
  };
  if (!finite() && encoder.dtype() != at::kFloat) {
    log_warning("the encoded picture has numbers that are not finite; encoding again in fp32");
    add_note(fp32_note);
    encoded = encoded_by(*model.encoder_in_fp32());
  }
  if (in_memory.needed()) add_note(tiles_note);
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

at::Tensor encode_pictures(const Components& model, const std::vector<at::Tensor>& pictures, Noise& noise,
                           const std::optional<TileSize>& tiles) {
  const auto encoder = model.encoder();
  std::vector<at::Tensor> means, deviations;
  for (const at::Tensor& picture : pictures) {
    const LatentDistribution encoded = distribution(model, *encoder, picture.to(model.device), tiles);
    means.push_back(encoded.mean);
    if (encoded.logvar.defined()) deviations.push_back((encoded.logvar * 0.5).exp());
  }
  at::Tensor latent = at::cat(means);
  if (!deviations.empty()) {
    latent = latent + at::cat(deviations) * noise.draw_encoding(latent.sizes().slice(1)).to(model.device);
  }
  return encoder->scaled(latent);
}

at::Tensor encode_modes(const Components& model, const std::vector<at::Tensor>& pictures,
                        const std::optional<TileSize>& tiles) {
  const auto encoder = model.encoder();
  std::vector<at::Tensor> modes;
  for (const at::Tensor& picture : pictures) {
    modes.push_back(distribution(model, *encoder, picture.to(model.device), tiles).mean);
  }
  return at::cat(modes);
}

}  // namespace sdtorch
