// A whole model in one file, in the original latent-diffusion code's layout.
#pragma once

#include "weights/model_source.hpp"
#include "weights/recognition.hpp"

namespace sdtorch {

/// Its components as a folder of diffusers' would give them: the networks, and so the pictures, are the same.
/// Tokenizers are CLIP's, as set-up installed it; where the text encoder has another vocabulary, the files of a folder
/// `tokenizer` beside the model. A file that was converted from a folder has the folder's configs (kept_model.hpp).
class SingleFile : public ModelSource {
 public:
  /// prediction: overrides what the file says; empty: its own.
  /// Throws ErrorKind::model saying what the file is where it is no model that can be drawn with.
  SingleFile(const std::filesystem::path& path, const std::string& prediction);

  const std::filesystem::path& path() const override { return path_; }
  const nlohmann::json& index() const override { return index_; }
  bool has(const std::string& component) const override;
  std::string config_place(const std::string& component) const override;
  nlohmann::json config(const std::string& component) const override;
  nlohmann::json scheduler() const override;
  StateDict weights(const std::string& component) const override;
  TokenizerPlace tokenizer(const std::string& component) const override;

  const Recognition& recognition() const { return recognition_; }

 private:
  const FilePart& part(const std::string& component) const;
  int64_t layers_used(const std::string& component) const;  ///< of an OpenCLIP encoder

  std::filesystem::path path_;
  Recognition recognition_;
  bool prediction_known_ = true;
  nlohmann::json index_;
};

/// Where a converted file's own tokenizer lies: `model.tokenizer` beside `model.safetensors`. component: tokenizer,
/// tokenizer_2.
std::filesystem::path tokenizer_beside(const std::filesystem::path& file, const std::string& component);

}  // namespace sdtorch
