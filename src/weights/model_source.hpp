// A model as its parts, however its files lay them out.
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "core/read_options.hpp"
#include "weights/state_dict.hpp"

namespace sdtorch {

/// Where a tokenizer's vocabulary lies.
struct TokenizerPlace {
  std::filesystem::path folder{};
  std::string pad_token{};                    ///< where the folder names none; empty: the end of a text
  bool lower_case = false;                    ///< whatever its files say
  std::optional<int64_t> model_max_length{};  ///< likewise; none: the files'
};

/// Components go by the names that diffusers folders give them: unet, vae, text_encoder, text_encoder_2, …
/// Everything throws ErrorKind::model naming file and key.
class ModelSource {
 public:
  ModelSource() = default;
  ModelSource(const ModelSource&) = delete;
  ModelSource& operator=(const ModelSource&) = delete;
  virtual ~ModelSource() = default;

  /// The folder or file.
  virtual const std::filesystem::path& path() const = 0;

  /// What model_index.json says: the pipeline's class, the components' classes, the pipeline's settings.
  virtual const nlohmann::json& index() const = 0;

  /// Whether the component is there, and not only named.
  virtual bool has(const std::string& component) const = 0;

  /// Where the component's config stands, the scheduler's too, for messages.
  virtual std::string config_place(const std::string& component) const = 0;

  /// The component's config.json, in diffusers' keys.
  virtual nlohmann::json config(const std::string& component) const = 0;

  /// scheduler_config.json, with the class that the index names. Where nothing tells what the network predicts, and
  /// its family has more than one answer, the error names `--prediction`.
  virtual nlohmann::json scheduler() const = 0;

  /// The component's weights under the networks' own names.
  virtual StateDict weights(const std::string& component) const = 0;

  /// component: tokenizer, tokenizer_2
  virtual TokenizerPlace tokenizer(const std::string& component) const = 0;
};

/// Opens a diffusers folder or a single file, by whatever name find_model knows it
/// (model_path.hpp). prediction: the user's word, `epsilon`, `v_prediction` or `sample`; empty: the model's own.
std::shared_ptr<const ModelSource> open_model(const std::filesystem::path& path_or_name,
                                              const std::string& prediction = {}, const ReadOptions& options = {});

}  // namespace sdtorch
