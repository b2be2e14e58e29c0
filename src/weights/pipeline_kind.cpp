#include "weights/pipeline_kind.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <vector>

#include "core/error.hpp"

namespace sdtorch {
namespace {

constexpr auto class_key = "_class_name";

/// Whatever a folder was saved for; what its model draws from, the U-Net's channels tell.
constexpr PipelineKind pipelines[] = {
    {.class_name = "StableDiffusionPipeline", .corrects_configs = true},
    {.class_name = "StableDiffusionImg2ImgPipeline", .corrects_configs = true},
    {.class_name = "StableDiffusionInpaintPipeline", .corrects_configs = true},
    {.class_name = "StableDiffusionInpaintPipelineLegacy", .corrects_configs = true},
    {.class_name = "StableDiffusionDepth2ImgPipeline", .corrects_configs = true},
    {.class_name = "StableDiffusionInstructPix2PixPipeline"},
    {.class_name = "StableDiffusionXLPipeline", .xl = true},
    {.class_name = "StableDiffusionXLImg2ImgPipeline", .xl = true},
    {.class_name = "StableDiffusionXLInpaintPipeline", .xl = true},
    {.class_name = "StableDiffusionXLInstructPix2PixPipeline", .xl = true},
    {.class_name = "LatentConsistencyModelPipeline"},
    {.class_name = "LatentConsistencyModelImg2ImgPipeline"},
    {.class_name = "AltDiffusionPipeline", .corrects_configs = true},
    {.class_name = "AltDiffusionImg2ImgPipeline", .corrects_configs = true},
    {.class_name = "JapaneseStableDiffusionPipeline", .corrects_configs = true, .japanese = true},
    {.class_name = "JapaneseStableDiffusionImg2ImgPipeline", .corrects_configs = true, .japanese = true},
    {.class_name = "JapaneseStableDiffusionInpaintPipeline", .corrects_configs = true, .japanese = true},
};

}  // namespace

const PipelineKind* find_pipeline_kind(const nlohmann::json& index) {
  const auto name = index.find(class_key);
  if (name == index.end() || !name->is_string()) return nullptr;
  const auto found = std::ranges::find(pipelines, name->get_ref<const std::string&>(), &PipelineKind::class_name);
  return found == std::end(pipelines) ? nullptr : &*found;
}

const PipelineKind& pipeline_kind(const nlohmann::json& index, const std::string& file) {
  if (const PipelineKind* kind = find_pipeline_kind(index)) return *kind;
  const auto name = index.find(class_key);
  if (name == index.end() || !name->is_string())
    fail(ErrorKind::model, file, class_key, "a pipeline's class was expected");
  std::vector<std::string_view> known;
  for (const PipelineKind& kind : pipelines) known.push_back(kind.class_name);
  fail(ErrorKind::model, file, class_key, fmt::format("{} is not supported", name->get_ref<const std::string&>()),
       fmt::format("models of {} are", fmt::join(known, ", ")));
}

TokenizerPlace tokenizer_place(const PipelineKind& pipeline, const std::filesystem::path& folder) {
  TokenizerPlace place{.folder = folder};
  if (pipeline.japanese) {
    constexpr int64_t clip_length = 77;
    place.lower_case = true;
    place.model_max_length = clip_length;
  }
  return place;
}

bool setting(const ModelSource& model, const std::string& name, bool fallback) {
  const auto entry = model.index().find(name);
  if (entry == model.index().end() || (entry->is_null() && !fallback)) return fallback;  // null is Python's false
  if (!entry->is_boolean()) fail(ErrorKind::model, model.path().string(), name, "true or false was expected");
  return entry->get<bool>();
}

}  // namespace sdtorch
