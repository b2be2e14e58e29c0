#include "weights/pipeline_kind.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

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
    {.class_name = "LatentConsistencyModelPipeline", .consistency = true},
    {.class_name = "LatentConsistencyModelImg2ImgPipeline", .consistency = true},
    {.class_name = "AltDiffusionPipeline", .corrects_configs = true},
    {.class_name = "AltDiffusionImg2ImgPipeline", .corrects_configs = true},
    {.class_name = "JapaneseStableDiffusionPipeline", .corrects_configs = true, .japanese = true},
    {.class_name = "JapaneseStableDiffusionImg2ImgPipeline", .corrects_configs = true, .japanese = true},
    {.class_name = "JapaneseStableDiffusionInpaintPipeline", .corrects_configs = true, .japanese = true},
    // Other ways to draw with the same models.
    {.class_name = "StableDiffusionPAGPipeline", .corrects_configs = true},
    {.class_name = "StableDiffusionPAGImg2ImgPipeline", .corrects_configs = true},
    {.class_name = "StableDiffusionPAGInpaintPipeline", .corrects_configs = true},
    {.class_name = "StableDiffusionXLPAGPipeline", .xl = true},
    {.class_name = "StableDiffusionXLPAGImg2ImgPipeline", .xl = true},
    {.class_name = "StableDiffusionXLPAGInpaintPipeline", .xl = true},
    {.class_name = "StableDiffusionControlNetPipeline"},
    {.class_name = "StableDiffusionControlNetImg2ImgPipeline"},
    {.class_name = "StableDiffusionControlNetInpaintPipeline"},
    {.class_name = "StableDiffusionXLControlNetPipeline", .xl = true},
    {.class_name = "StableDiffusionXLControlNetImg2ImgPipeline", .xl = true},
    {.class_name = "StableDiffusionXLControlNetInpaintPipeline", .xl = true},
    {.class_name = "StableDiffusionAdapterPipeline"},
    {.class_name = "StableDiffusionXLAdapterPipeline", .xl = true},
    {.class_name = "StableDiffusionPanoramaPipeline"},
    {.class_name = "StableDiffusionSAGPipeline"},
    {.class_name = "StableDiffusionKDiffusionPipeline"},
    {.class_name = "StableDiffusionXLKDiffusionPipeline", .xl = true},
    {.class_name = "StableDiffusionAttendAndExcitePipeline"},
    {.class_name = "StableDiffusionParadigmsPipeline"},
    {.class_name = "StableDiffusionModelEditingPipeline"},
    {.class_name = "StableDiffusionPipelineSafe", .corrects_configs = true},
    {.class_name = "SemanticStableDiffusionPipeline"},
    {.class_name = "LEditsPPPipelineStableDiffusion", .corrects_configs = true},
    {.class_name = "LEditsPPPipelineStableDiffusionXL", .xl = true},
};

/// What the classes of pipelines whose models are others begin with, though their components may go by known names.
constexpr std::string_view other_models[] = {
    "Flux",
    "StableDiffusion3",
    "Kandinsky",
    "PixArt",
    "Wuerstchen",
    "StableCascade",
    "IFPipeline",
    "IFImg2Img",
    "IFInpaint",
    "IFSuperResolution",
    "HunyuanDiT",
    "Sana",
    "AuraFlow",
    "Lumina",
    "Chroma",
    "QwenImage",
    "Kolors",
    "UnCLIP",
    "StableUnCLIP",
    "AudioLDM",
    "MusicLDM",
    "StableDiffusionUpscale",
    "StableDiffusionLatentUpscale",
    "StableDiffusionImageVariation",
    "StableDiffusionLDM3D",
    "StableDiffusionGLIGEN",
    "StableVideoDiffusion",
    "TextToVideo",
    "AnimateDiff",
    "VersatileDiffusion",
    "Marigold",
    "LDMTextToImage",
};

}  // namespace

std::string pipeline_class(const nlohmann::json& index) {
  const auto found = index.find(class_key);
  if (found == index.end()) return {};
  const nlohmann::json& name = found->is_array() && !found->empty() ? found->back() : *found;
  return name.is_string() ? name.get<std::string>() : std::string();
}

std::optional<PipelineKind> find_pipeline_kind(const nlohmann::json& index) {
  const std::string name = pipeline_class(index);
  const auto known = std::ranges::find(pipelines, name, &PipelineKind::class_name);
  if (known != std::end(pipelines)) return *known;
  const bool other = std::ranges::any_of(other_models, [&](std::string_view start) { return name.starts_with(start); });
  if (name.empty() || other) return std::nullopt;
  const auto second = index.find("text_encoder_2");
  const bool xl = second != index.end() && second->is_array() && !second->empty() && second->back().is_string();
  // Without SDXL's, its components are a StableDiffusionPipeline's, which is how it is drawn.
  return PipelineKind{.xl = xl, .corrects_configs = !xl};
}

PipelineKind pipeline_kind(const nlohmann::json& index, const std::string& file) {
  if (const auto kind = find_pipeline_kind(index)) return *kind;
  const std::string name = pipeline_class(index);
  if (name.empty()) fail(ErrorKind::model, file, class_key, "a pipeline's class was expected");
  fail(ErrorKind::model, file, class_key, fmt::format("{} is not supported", name),
       "models of Stable Diffusion 1.x, 2.x and XL are");
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
