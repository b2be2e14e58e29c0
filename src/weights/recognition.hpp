// What a weights file is, told by its names, shapes and metadata, and by a settings file beside it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "weights/families.hpp"
#include "weights/kept_model.hpp"
#include "weights/key_table.hpp"
#include "weights/ldm_configs.hpp"
#include "weights/weights_file.hpp"

namespace sdtorch {

/// How a component's tensors are named.
enum class PartStyle {
  ldm_unet,
  ldm_vae,
  clip,       ///< transformers' CLIPTextModel
  open_clip,  ///< OpenCLIP's text transformer
  midas,      ///< MiDaS's DPT-Hybrid
  other       ///< known, and not used
};

/// One component of a file.
struct FilePart {
  std::string prefix{};  ///< of its keys in the file
  PartStyle style = PartStyle::other;
  StateDict weights{};  ///< without the prefix
};

/// One conclusion and what it was drawn from.
struct Finding {
  std::string what, value, why;
};

/// What was told of a file in the original latent-diffusion code's layout.
struct Recognition {
  std::optional<Family> family{};
  Task task = Task::text_to_image;
  std::string prediction{};  ///< epsilon, v_prediction or sample; empty where nothing decides
  std::string doubt{};       ///< why no prediction is told
  bool zero_snr = false;     ///< the noise schedule ends at zero SNR (Lin et al. 2023)
  bool consistency = false;  ///< the U-Net takes the guidance scale as an input
  std::string obstacle{};    ///< why nothing can be drawn with it, though it is known; empty: nothing stands in the way
  HeadRule heads{};
  std::optional<int64_t> pixels{};          ///< the model's own side, where metadata tells it
  std::optional<double> scaling_factor{};   ///< of the VAE, where the settings file tells it
  std::map<std::string, FilePart> parts{};  ///< by component
  nlohmann::json scheduler{};               ///< a scheduler_config.json beside the file; null where there is none
  std::optional<KeptModel> kept{};          ///< what the file was converted from; it says all that is told otherwise
  nlohmann::json scheduler_changes{};       ///< what the settings file has otherwise than the family's scheduler
  std::vector<Finding> findings{};
  std::vector<std::string> warnings{};    ///< what drawing leaves aside, each a line
  std::map<std::string, int64_t> left{};  ///< known tensors that are not used, counted by their kind
  std::vector<std::string> unused{};      ///< keys that nothing here knows

  ModelKind kind() const;
};

/// Takes a file apart. A file of another layout comes back without parts. path: whose settings file counts.
/// Throws ErrorKind::model for a settings file that cannot be read, and where a key that tells a size is missing.
Recognition recognize(WeightsFile file, const std::filesystem::path& path);

/// A part's keys, as the file has them, that no table knows: loading it would refuse them.
std::vector<std::string> unknown_keys(const FilePart& part);

/// How many of an OpenCLIP encoder's layers a family uses. SD 2.x reads the last but one; a file that was converted
/// back from a folder has only those that are read, and no projection.
int64_t open_clip_layers_used(Family family, const StateDict& weights);

/// What a file is that holds no model in that layout: a LoRA, a component with diffusers' names, another kind of
/// model, … Empty where nothing fits.
std::string kind_of_weights(const KeySet& keys);

}  // namespace sdtorch
