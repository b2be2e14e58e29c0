// A model's networks with their weights.
#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <optional>
#include <vector>

#include "networks/text_encoder.hpp"
#include "networks/unet.hpp"
#include "nn/captured.hpp"
#include "nn/quantized.hpp"
#include "pipeline/autoencoder.hpp"
#include "pipeline/model_description.hpp"

namespace sdtorch {

/// The networks, with weights, on the device and in the type that they compute in.
struct Components {
  ModelDescription description{};
  std::vector<TextEncoder> text_encoders{};  ///< as described
  std::shared_ptr<UNet2DConditionModel> unet{};
  std::shared_ptr<const Autoencoder> vae{};               ///< what decodes
  std::vector<ControlNetwork> controls{};                 ///< as described
  std::shared_ptr<const LatentClassifier> classifier{};   ///< likewise; in fp32
  std::shared_ptr<const IpAdapters> ip_adapters{};        ///< as described; none where there are none
  std::optional<LoadedDepthEstimator> depth_estimator{};  ///< where something may need it
  at::Device device = at::kCPU;
  at::ScalarType dtype = at::kFloat;
  at::ScalarType vae_dtype = at::kFloat;  ///< fp32 where dtype is fp16 and the VAE overflows it

  // Each is read from its files at the first call where it is not `vae`. Safe from several threads.

  /// What encodes pictures: `vae` where it can, else the model's own.
  std::shared_ptr<const Autoencoder> encoder() const;
  /// The same two in fp32, for pictures that overflow.
  std::shared_ptr<const Autoencoder> vae_in_fp32() const;
  std::shared_ptr<const Autoencoder> encoder_in_fp32() const;

  /// What the U-Net's calls are remembered by from picture to picture.
  std::shared_ptr<CapturedCalls> captured = std::make_shared<CapturedCalls>();

  struct Spare;
  std::shared_ptr<Spare> spare{};  ///< what those keep

 private:
  using LoadAutoencoder = std::shared_ptr<const Autoencoder> (*)(const ModelDescription&, at::ScalarType, at::Device);
  std::shared_ptr<const Autoencoder> once(std::shared_ptr<const Autoencoder> Spare::*kept, LoadAutoencoder load,
                                          at::ScalarType type) const;
};

/// Loads all weights. quantization: of the U-Net's layers, where has_products() (see quantize).
/// Throws ErrorKind::model with every missing, unexpected and misshapen key, ErrorKind::memory before anything is
/// loaded where there is not memory enough (memory_need.hpp).
Components load_components(ModelDescription description, at::Device device, at::ScalarType dtype,
                           Quantization quantization = Quantization::none);

}  // namespace sdtorch
