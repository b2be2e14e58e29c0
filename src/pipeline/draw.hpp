// The whole chain: prompts → conditions → denoised latent → pictures.
#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "pipeline/adapted_networks.hpp"
#include "pipeline/components.hpp"
#include "pipeline/resolve.hpp"
#include "pipeline/text_conditions.hpp"
#include "sdtorch/pipeline.hpp"

namespace sdtorch {

/// A pipeline's networks, and what it remembers between two batches.
struct PipelineNetworks {
  Components model{};
  std::optional<Components> refiner{};  ///< draws the last steps and decodes
  std::shared_ptr<TextMemory> texts = std::make_shared<TextMemory>();
  std::shared_ptr<TextMemory> refiner_texts = std::make_shared<TextMemory>();
  std::shared_ptr<AdaptedNetworks> adapted = std::make_shared<AdaptedNetworks>();  ///< of model, not of refiner

  const Components& last() const { return refiner ? *refiner : model; }
};

/// Drawn tensors of a batch.
struct Drawn {
  at::Tensor pictures{};              ///< fp32 on the CPU, [B, 3, H, W] in 0…1
  std::vector<bool> again_in_fp32{};  ///< one a picture: see decode
  std::vector<bool> in_tiles{};       ///< likewise
  std::vector<std::string> notes{};   ///< of what befell the pictures before that: see Picture::notes
};

/// Draws a batch, one picture a request. batch: not empty, and able to share one.
/// Switches the model to the batch's LoRAs, where it has others: another thread that draws waits then.
/// Throws ErrorKind::input for prompts that are not UTF-8, ErrorKind::non_finite for overflow.
Drawn draw(const PipelineNetworks& networks, std::span<const ResolvedRequest> batch, const Observer& observer = {});

/// Encodes the batch's texts into what the networks remember, beside a drawing; on a GPU in a stream of its own. Does
/// nothing where the networks have other LoRAs now, or the batch's change on the way.
void encode_ahead(const PipelineNetworks& networks, std::span<const ResolvedRequest> batch);

}  // namespace sdtorch
