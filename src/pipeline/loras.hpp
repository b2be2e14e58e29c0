// LoRAs that a request names, by flag or in its prompt: found, read, and how strongly each acts.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "adapters/lora_file.hpp"
#include "adapters/step_weights.hpp"
#include "sdtorch/request.hpp"

namespace sdtorch {

struct ModelDescription;

/// A LoRA as a request names it.
struct NamedLora {
  std::filesystem::path file{};
  std::string name{};      ///< what A1111 calls it: the file's name without its ending
  std::string asked_by{};  ///< for messages: "--lora FILE", "--prompt: <lora:style:1>"
  StepWeights unet{}, text_encoder{};
};

/// Those of Request::lora, then those of the prompt's tags, in their order. A tag has one number for both networks, or
/// the text encoder's and then the U-Net's, or `te=` and `unet=`, as in A1111; a flag has the U-Net's first.
/// lora_dir: where names of tags are looked for, and what a flag's file is not found as.
/// Throws ErrorKind::usage naming flag or tag: a file that is not there, a name that is ambiguous, no weight.
std::vector<NamedLora> named_loras(const Request& request, const std::string& lora_dir);

/// `style.safetensors:0.8` → the file, and what follows it. The longest file that is there counts.
struct FileAndWeights {
  std::string file{};
  std::vector<std::string> weights{};  ///< two at most
};
FileAndWeights split_weights(const std::string& text);

/// A LoRA's part in a picture.
struct ResolvedLora {
  std::shared_ptr<const LoraFile> file{};  ///< read for the model; the same one for the same path
  StepWeights unet{}, text_encoder{};      ///< text_encoder: of all of them

  /// Whether the text encoders are others at some step.
  bool text_varies() const;
};

/// What was read for a model, each file once. Safe to use from several threads.
class LoraShelf {
 public:
  explicit LoraShelf(std::string folder = {}, LoraOptions options = {})
      : folder_(std::move(folder)), options_(options) {}

  const std::string& folder() const { return folder_; }

  /// Throws as read_lora.
  std::shared_ptr<const LoraFile> read(const std::filesystem::path& path, const ModelDescription& model);

 private:
  std::string folder_;
  LoraOptions options_;
  std::mutex mutex_{};
  WeightShapes shapes_{};  ///< of the model; empty until they are needed
  std::map<std::filesystem::path, std::shared_ptr<const LoraFile>> files_{};
};

/// All of a request's, read for the model, whose shelf keeps them. Adds to the warnings what has no effect.
/// Throws as named_loras and read_lora.
std::vector<ResolvedLora> resolve_loras(const ModelDescription& model, const Request& request,
                                        std::vector<std::string>& warnings);

}  // namespace sdtorch
