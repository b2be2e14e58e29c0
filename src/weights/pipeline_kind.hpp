// The pipelines of diffusers whose models draw from text, by what they do their own way.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "weights/model_source.hpp"

namespace sdtorch {

struct PipelineKind {
  std::string_view class_name{};  ///< empty: one that is not known, told by its components
  bool xl = false;                ///< SDXL: two text encoders or the second alone, a pooled text, sizes
  /// Puts right what the first models' configs say: steps_offset 1, clip_sample false, a sample_size of 64.
  bool corrects_configs = false;
  bool consistency = false;  ///< latent consistency models: image-to-image spreads all steps over the share left
  bool japanese = false;     ///< Japanese Stable Diffusion: its tokenizer makes lower case and chunks of 77
};

/// The class of AltDiffusion's text encoder, as an index names it.
inline constexpr std::string_view roberta_text_encoder = "RobertaSeriesModelWithTransformation";

/// A pipeline's tokenizer in this folder.
TokenizerPlace tokenizer_place(const PipelineKind& pipeline, const std::filesystem::path& folder);

/// An index's `_class_name`: diffusers' class, or of a list [module, class], as pipelines with code of their own are
/// saved, the second. Empty where it is neither.
std::string pipeline_class(const nlohmann::json& index);

/// That which an index's `_class_name` says. A class that is not known is what its components are: somebody's own way
/// to draw with a model (a community pipeline) says nothing against the model. file: where the index stands, for
/// messages. Throws ErrorKind::model where it names none, and for pipelines of other kinds of models, by name.
PipelineKind pipeline_kind(const nlohmann::json& index, const std::string& file);

/// The same, or nothing where it is none of them.
std::optional<PipelineKind> find_pipeline_kind(const nlohmann::json& index);

/// A setting that stands in the model's index beside the components, such as force_zeros_for_empty_prompt.
/// Throws ErrorKind::model where it is there and neither true nor false.
bool setting(const ModelSource& model, const std::string& name, bool fallback);

}  // namespace sdtorch
