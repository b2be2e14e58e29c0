#include "sdtorch/weights/pipeline_kind.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "sdtorch/core/error.hpp"

namespace sdtorch {
namespace {

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
};

[[noreturn]] void fail(const std::string& file, const std::string& key, std::string reason, std::string hint = {}) {
  throw Error(ErrorKind::model, {.file = file, .place = key, .reason = std::move(reason), .hint = std::move(hint)});
}

}  // namespace

const PipelineKind& pipeline_kind(const nlohmann::json& index, const std::string& file) {
  constexpr auto key = "_class_name";
  const auto name = index.find(key);
  if (name == index.end() || !name->is_string()) fail(file, key, "a pipeline's class was expected");
  const auto& found = name->get_ref<const std::string&>();
  std::vector<std::string_view> known;
  for (const PipelineKind& kind : pipelines) {
    if (kind.class_name == found) return kind;
    known.push_back(kind.class_name);
  }
  fail(file, key, fmt::format("{} is not supported", found), fmt::format("models of {} are", fmt::join(known, ", ")));
}

bool setting(const ModelSource& model, const std::string& name, bool fallback) {
  const auto entry = model.index().find(name);
  if (entry == model.index().end()) return fallback;
  if (!entry->is_boolean()) fail(model.path().string(), name, "true or false was expected");
  return entry->get<bool>();
}

}  // namespace sdtorch
