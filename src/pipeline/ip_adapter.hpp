// Pictures that prompt a model through IP-Adapters: what they are made of, and at work.
#pragma once

#include <ATen/ATen.h>

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "networks/clip_picture.hpp"
#include "networks/clip_vision.hpp"
#include "networks/image_attention.hpp"
#include "networks/ip_projection.hpp"
#include "sdtorch/request.hpp"

namespace sdtorch {

struct Components;
struct ModelDescription;
struct ResolvedRequest;
struct TextConditions;

/// CLIP's image encoder but for its weights.
struct ImageEncoderDescription {
  std::filesystem::path folder{};
  ClipVisionConfig config{};
  ClipPreparation preparation{};
  std::string preparation_file{};  ///< for messages
  bool whole_clip = false;         ///< its files hold the text encoder, too
};

/// An IP-Adapter but for its weights.
struct IpAdapterDescription {
  std::filesystem::path file{};
  IpProjectionConfig projection{};
  size_t encoder = 0;  ///< that sees its pictures
};

struct IpAdaptersDescription {
  std::vector<ImageEncoderDescription> encoders{};
  std::vector<IpAdapterDescription> adapters{};
};

/// Reads headers and configs of what the choice names for the model. An encoder is ModelChoice::ip_encoder, else
/// image_encoder/ beside the adapter's file, else that beside the first adapter that has one. Pictures are prepared as
/// its preprocessor_config.json says, or the model's own feature_extractor where that fits the encoder, or as CLIP does
/// it. Throws ErrorKind::usage for what is missing, with the candidates; ErrorKind::model naming file and key, also
/// where adapter, encoder and model do not fit.
IpAdaptersDescription describe_ip_adapters(const ModelChoice& choice, const ModelDescription& model);

/// What one adapter is given for a picture that is drawn.
struct ResolvedImagePrompt {
  at::Tensor pixels{};   ///< fp32 [n, 3, side, side] on the CPU, prepared: one picture, or several
  std::string digest{};  ///< tells pixels from others
  double scale = 1;
};

/// Reads the pictures and adds them to the request's inputs: one for each of the model's adapters, or all for a single
/// one. Throws ErrorKind::usage naming the flag for lists of other lengths; ErrorKind::input for pictures, as
/// read_start_picture; ErrorKind::model where one is prepared to a size that the encoder does not take.
std::vector<ResolvedImagePrompt> resolve_image_prompts(const ModelDescription& model, Request& request);

/// Adapters with their weights. Remembers the pictures that it saw last. Safe to use from several threads.
class IpAdapters {
 public:
  /// Throws ErrorKind::model with every missing, unexpected and misshapen key.
  IpAdapters(const ModelDescription& model, at::ScalarType dtype, at::Device device);
  ~IpAdapters();

  /// For each adapter the tokens of its pictures, one picture's behind the other's, compute type [1, S, C].
  std::vector<at::Tensor> tokens(const std::vector<ResolvedImagePrompt>& prompts) const;

  /// As many tokens for what guidance leads away from: of an embedding of zeros where adapters see embeddings, of a
  /// picture of zeros, prepared, where they see the encoder's states. The reference's rule.
  std::vector<at::Tensor> no_tokens(const std::vector<ResolvedImagePrompt>& prompts) const;

  /// The adapters' part in the U-Net's attention. scales: one for each.
  ImageAttention attention(const UNet2DConditionModel& unet, const std::vector<double>& scales) const;

 private:
  struct Adapter;
  struct Memory;
  at::Tensor see(const Adapter& adapter, const at::Tensor& pixels) const;
  at::Tensor remembered(size_t adapter, const ResolvedImagePrompt& prompt) const;

  at::ScalarType dtype_;
  at::Device device_;
  std::vector<std::shared_ptr<const ClipVisionModel>> encoders_;
  std::vector<Adapter> adapters_;
  std::unique_ptr<Memory> memory_;
};

/// The scales of its adapters; empty where none is to say anything.
std::vector<double> image_scales(const ResolvedRequest& resolved);

/// Gives each picture's conditions the tokens of the pictures that prompt it.
void prompt_by_pictures(const Components& model, std::span<const ResolvedRequest> batch,
                        std::vector<TextConditions>& texts);

}  // namespace sdtorch
