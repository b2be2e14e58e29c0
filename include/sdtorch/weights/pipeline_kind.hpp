// The pipelines of diffusers whose models draw from text, by what they do their own way.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "sdtorch/weights/model_source.hpp"

namespace sdtorch {

struct PipelineKind {
  std::string_view class_name;
  bool xl = false;  ///< SDXL: two text encoders or the second alone, a pooled text, sizes
  /// Puts right what the first models' configs say: steps_offset 1, clip_sample false, a sample_size of 64.
  bool corrects_configs = false;
};

/// That which an index's `_class_name` says. file: where the index stands, for messages.
/// Throws ErrorKind::model where it is none of them.
const PipelineKind& pipeline_kind(const nlohmann::json& index, const std::string& file);

/// A setting that stands in the model's index beside the components, such as force_zeros_for_empty_prompt.
/// Throws ErrorKind::model where it is there and neither true nor false.
bool setting(const ModelSource& model, const std::string& name, bool fallback);

}  // namespace sdtorch
