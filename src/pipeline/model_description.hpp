// What a model's configs say: cheap to read, and checked before any weights are.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/read_options.hpp"
#include "networks/config.hpp"
#include "networks/text_encoder.hpp"
#include "pipeline/classifier.hpp"
#include "pipeline/control_nets.hpp"
#include "pipeline/depth_estimator.hpp"
#include "pipeline/ip_adapter.hpp"
#include "pipeline/loras.hpp"
#include "pipeline/tiny_vae.hpp"
#include "text/tokenizer.hpp"
#include "weights/families.hpp"
#include "weights/model_source.hpp"

namespace sdtorch {

class EmbeddingStore;
class HypernetworkShelf;

/// One text encoder and the tokenizer that feeds it.
struct TextEncoderDescription {
  std::string name;  ///< of its folder: text_encoder, text_encoder_2
  Tokenizer tokenizer;
  TextEncoderConfig config;
};

/// What an SDXL model says of itself beside its networks (keys of model_index.json).
struct XlSettings {
  bool zeros_for_no_negative =
      true;                      ///< without a negative prompt its embedding is zeros (force_zeros_for_empty_prompt)
  bool aesthetic_score = false;  ///< a refiner: a score stands where the target size would (requires_aesthetics_score)

  /// How many numbers the U-Net sees: two of the original size, two of the crop, and the target size or the score.
  int64_t numbers() const { return aesthetic_score ? 5 : 6; }
};

/// Everything about a model but its weights: read in milliseconds, enough to check a request against.
struct ModelDescription {
  std::string name;                           ///< the folder's or file's name
  std::shared_ptr<const ModelSource> source;  ///< where the weights come from
  std::filesystem::path vae_weights;          ///< `--vae`: a folder or file; empty: the model's own
  std::string scheduler_file;                 ///< for messages
  nlohmann::json scheduler;                   ///< scheduler_config.json, with the class that the model's index names
  bool corrects_scheduler = true;  ///< its pipeline corrects the scheduler's config (PipelineKind::corrects_configs)
  bool consistency = false;        ///< PipelineKind::consistency
  std::vector<TextEncoderDescription> text_encoders;  ///< one; SDXL has two, a refiner of its the second alone
  std::optional<XlSettings> xl;                       ///< SDXL models and their refiners
  std::shared_ptr<EmbeddingStore> embeddings;         ///< the learned words that its prompts may name
  std::shared_ptr<HypernetworkShelf> hypernetworks;   ///< that requests may name
  ReadOptions read_options;                           ///< as given: the scheduler's config is read with each request
  UNetConfig unet;
  VaeConfig vae;
  std::optional<TinyVaeDescription> tiny_vae;  ///< in its place, where ModelChoice names one
  Task task = Task::text_to_image;
  std::optional<ClassifierDescription> classifier;           ///< what guides it; nothing where no ModelChoice names one
  std::vector<ControlDescription> controls;                  ///< what steers it; nothing where no ModelChoice names any
  std::optional<DepthEstimatorDescription> depth_estimator;  ///< its own, or the one that ModelChoice names
  std::shared_ptr<LoraShelf> loras = std::make_shared<LoraShelf>();  ///< by ModelChoice's folder and rule

  /// What lets pictures prompt it; nothing where no ModelChoice names any.
  IpAdaptersDescription ip_adapters;
};

/// Reads and checks the configs and the tokenizer, each by itself and against one another.
/// model: a folder or file, empty for the built-in model; vae: a folder or file, empty for the model's own;
/// prediction: a name of find_prediction, empty for the model's own.
/// Throws ErrorKind::model naming file and key.
ModelDescription describe_model(const std::string& model, const std::string& vae, const std::string& prediction = {},
                                const ReadOptions& options = {});

}  // namespace sdtorch
