// The names that the original latent-diffusion code (Rombach et al. 2021) and OpenCLIP give to the tensors that our
// networks know by diffusers' and transformers' names. Blocks are numbered there in the order in which they run, so a
// table needs to know how many there are; names tell that in either spelling.
#pragma once

#include <cstdint>
#include <vector>

#include "weights/key_table.hpp"
#include "weights/state_dict.hpp"

namespace sdtorch {

/// What blocks a U-Net is made of.
struct UNetLayout {
  static constexpr int64_t none = -1;  ///< no transformer: one of depth 0 has its projections still
  using Level = std::vector<int64_t>;  ///< one a residual block: the depth of the transformer after it

  std::vector<Level> down{};  ///< from the finest resolution to the coarsest
  std::vector<Level> up{};    ///< as they run, from the coarsest to the finest
  bool has_middle = false;
  int64_t middle_transformer = none;  ///< depth; without it the middle is one residual block
};

/// keys: of the U-Net alone, `input_blocks.0.0.weight` …
UNetLayout ldm_unet_layout(const KeySet& keys);
/// keys: `down_blocks.0.resnets.0.conv1.weight` …
UNetLayout diffusers_unet_layout(const KeySet& keys);
/// more: names besides the U-Net's own.
KeyTable unet_key_table(const UNetLayout& layout, std::vector<KeyPair> more = {});

/// A ControlNet (Zhang et al. 2023) has a U-Net's way down under the same names. keys: of either spelling, and no other
/// network's: `input_hint_block.0.weight`, or `controlnet_cond_embedding.conv_in.weight`, …
KeyTable controlnet_key_table(const KeySet& keys);

struct VaeLayout {
  int64_t levels = 0;
  int64_t layers = 0;  ///< residual blocks of a level's encoder; its decoder has one more
};

VaeLayout ldm_vae_layout(const KeySet& keys);
VaeLayout diffusers_vae_layout(const KeySet& keys);
KeyTable vae_key_table(const VaeLayout& layout);

/// Layers of OpenCLIP's text transformer, and of transformers' text encoder.
int64_t open_clip_layers(const KeySet& keys);
int64_t clip_layers(const KeySet& keys);

// Whole components, renamed and reshaped. A key that no table knows keeps its name, with `prefix` before it, for
// bind_weights to report.

StateDict unet_from_ldm(StateDict weights, const std::string& prefix);
StateDict controlnet_from_ldm(StateDict weights, const std::string& prefix);
/// Attention weights are 1×1 convolutions there.
StateDict vae_from_ldm(StateDict weights, const std::string& prefix);
/// The first `layers` layers. Queries, keys and values are one matrix there, and the projection is transposed.
StateDict clip_from_open_clip(StateDict weights, const std::string& prefix, int64_t layers);

// The other direction: what of our tensors a foreign one is made.

/// A foreign tensor as a recipe: our tensors, joined along the first axis, then reshaped.
struct ForeignTensor {
  std::vector<std::string> sources{};
  enum class Shape { same, transposed, convolution } shape = Shape::same;  ///< convolution: [C, C] → [C, C, 1, 1]
};

/// By foreign key. keys: our component's. Throws a bug for a key that has no foreign name.
std::map<std::string, ForeignTensor> unet_to_ldm(const KeySet& keys);
std::map<std::string, ForeignTensor> controlnet_to_ldm(const KeySet& keys);
std::map<std::string, ForeignTensor> vae_to_ldm(const KeySet& keys);
std::map<std::string, ForeignTensor> clip_to_open_clip(const KeySet& keys);

/// The foreign tensor itself, of the tensors that `tensor` gives by our keys.
at::Tensor make_foreign(const ForeignTensor& recipe, const std::function<at::Tensor(const std::string&)>& tensor);

/// The keys of named tensors.
KeySet keys_of(const StateDict& weights);

}  // namespace sdtorch
