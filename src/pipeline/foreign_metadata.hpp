// What ComfyUI, InvokeAI and NovelAI write into pictures, read as requests.
#pragma once

#include <optional>
#include <vector>

#include "pipeline/foreign_request.hpp"

namespace sdtorch {

/// The request of a picture of one of them; nothing where the texts are none of theirs. What has no counterpart here is
/// left out with a warning, files are not loaded, and compat is set to the tool's whose draws are theirs.
/// Throws ErrorKind::input naming the chunk and the entry for what cannot be read as such.
std::optional<Settings> settings_from_foreign(const std::vector<PngText>& texts, const PictureSource& source);

/// ComfyUI's `prompt`, or where it is missing, its `workflow`: the text-to-image part that led to the picture, from
/// KSampler or KSamplerAdvanced over loaders, CLIPTextEncode, CLIPSetLastLayer and EmptyLatentImage. prompt, workflow:
/// either may be nullptr, not both.
Settings read_comfy_graph(const PngText* prompt, const PngText* workflow, const PictureSource& source);

/// InvokeAI's `invokeai_metadata` (3 and later), `sd-metadata` (2), `Dream` (1).
Settings read_invoke_metadata(const PngText& text, const PictureSource& source);

/// NovelAI's `Comment`, and its `Description` where that holds the prompt.
Settings read_novelai_comment(const PngText& comment, const PngText* description, const PictureSource& source);

/// NovelAI's braces and brackets as A1111's weights: each `{` is a factor of 1.05, each `[` of 1/1.05, and parentheses
/// are literal there.
std::string prompt_from_novelai(const std::string& prompt);

}  // namespace sdtorch
