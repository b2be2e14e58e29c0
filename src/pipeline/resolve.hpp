// A request and a model together: what will be drawn, or why it cannot be.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "diffusion/sampler.hpp"
#include "pipeline/control.hpp"
#include "pipeline/depth_to_image.hpp"
#include "pipeline/embeddings.hpp"
#include "pipeline/hypernetworks.hpp"
#include "pipeline/input_pictures.hpp"
#include "pipeline/loras.hpp"
#include "pipeline/model_description.hpp"
#include "pipeline/resolved_guidance.hpp"
#include "pipeline/resolved_prompts.hpp"
#include "pipeline/shortcuts.hpp"
#include "pipeline/tiling.hpp"
#include "sdtorch/request.hpp"

namespace sdtorch {

/// A request with what the model decides filled in.
struct ResolvedRequest {
  Request request{};    ///< width, height and sampler set, styles put into the prompts
  SamplingPlan plan{};  ///< the model's own part of it, where a refiner draws the rest
  std::optional<SamplingPlan> refiner_plan{};
  std::vector<std::string> warnings{};      ///< what the model has no use for, each a line for the log
  std::optional<StartPicture> start{};      ///< of the size that is drawn
  std::optional<ResolvedDepth> depth{};     ///< where the model is one for depth
  std::vector<ResolvedControl> controls{};  ///< one for each of the model's
  ResolvedGuidance guidance{};              ///< the model's; a refiner's is for_refiner()
  Shortcuts shortcuts{};                    ///< of the model, and of a refiner
  std::optional<TileSize> tiles{};          ///< the VAE's; none: the whole picture at once
  ResolvedPrompts prompts{};
  std::vector<ResolvedLora> loras{};  ///< what is put on the model, and not on a refiner
  /// The words that the prompts may have, for the model and for a refiner.
  std::shared_ptr<const PromptEmbeddings> words{}, refiner_words{};
  std::vector<WeightedHypernetwork> hypernetworks{};  ///< of the model, and of a refiner
  int64_t latent_width = 0, latent_height = 0;
  std::shared_ptr<const ResolvedRequest> hires{};  ///< the second, larger pass, of the size that the result has

  /// One for each of the model's IP-Adapters.
  std::vector<ResolvedImagePrompt> image_prompts{};
};

/// Checks a request against the model, and against its refiner where it names one, reads the pictures that it names,
/// and fills in the size: the picture's that it starts from or is steered by, or the model's own.
/// refiner: what Request::refiner names, or nullptr.
/// Throws ErrorKind::usage naming the flag; ErrorKind::input for a picture that cannot be read.
ResolvedRequest resolve(const ModelDescription& model, const Request& request,
                        const ModelDescription* refiner = nullptr);

/// Throws ErrorKind::usage naming --refiner where `refiner` cannot continue what `model` begins.
void check_refiner(const ModelDescription& model, const ModelDescription& refiner);

}  // namespace sdtorch
