#include "pipeline/decode.hpp"

#include <cstring>

#include "core/error.hpp"
#include "core/log.hpp"
#include "pipeline/non_finite.hpp"
#include "pipeline/tiling.hpp"

namespace sdtorch {

DecodedPictures decode(const Components& model, const at::Tensor& latent, const std::optional<TileSize>& tiles) {
  if (!is_finite(latent)) {
    throw Error(ErrorKind::non_finite,
                {.reason = "the latent has numbers that are not finite",
                 .hint = model.dtype == at::kFloat ? "check the model's weights" : "try --dtype fp32"});
  }
  DecodedPictures decoded;
  std::vector<at::Tensor> pictures;
  const std::vector<at::Tensor> latents = latent.split(1);
  const int64_t factor = model.description.vae.factor();
  TileFallback in_memory(model.description, model.device, latent.size(2) * factor, latent.size(3) * factor, tiles);
  decoded.in_tiles.resize(latents.size());
  const auto decoded_by = [&](const Autoencoder& vae, size_t i) {
    const auto work = [&](const std::optional<TileSize>& fitting) { return vae.decode(latents[i], fitting); };
    at::Tensor picture = in_memory(work);
    decoded.in_tiles[i] = in_memory.needed();
    return picture;
  };
  std::vector<at::Tensor> queued;
  if (latent.is_cuda()) {  // all of them at once: looking at one would wait for it
    for (size_t i = 0; i < latents.size(); ++i) queued.push_back(decoded_by(*model.vae, i));
  }
  for (size_t i = 0; i < latents.size(); ++i) {
    // Not yet clamped, so that NaN and infinity still show.
    at::Tensor picture = queued.empty() ? decoded_by(*model.vae, i) : queued[i];
    const bool again = !is_finite(picture) && model.vae_dtype != at::kFloat;
    if (again) {
      log_warning("the decoded picture has numbers that are not finite; decoding again in fp32");
      picture = decoded_by(*model.vae_in_fp32(), i);
    }
    decoded.again_in_fp32.push_back(again);
    if (!is_finite(picture)) {
      throw Error(ErrorKind::non_finite,
                  {.reason = "the decoded picture has numbers that are not finite", .hint = "check the VAE's weights"});
    }
    pictures.push_back((picture / 2 + 0.5).clamp(0, 1).to(at::kCPU));
  }
  decoded.pictures = at::cat(pictures).contiguous();
  return decoded;
}

Image to_image(const at::Tensor& picture, bool truncate) {
  const at::Tensor scaled = picture * 255;
  const at::Tensor bytes = (truncate ? scaled : scaled.round()).to(at::kByte).permute({1, 2, 0}).contiguous();
  Image image{.width = static_cast<int>(bytes.size(1)),
              .height = static_cast<int>(bytes.size(0)),
              .pixels = std::vector<uint8_t>(static_cast<size_t>(bytes.numel()))};
  std::memcpy(image.pixels.data(), bytes.const_data_ptr(), image.pixels.size());
  return image;
}

}  // namespace sdtorch
