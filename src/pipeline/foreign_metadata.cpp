#include "pipeline/foreign_metadata.hpp"

#include <array>

#include "core/error.hpp"

namespace sdtorch {
namespace {

bool is_object_text(const PngText* text) { return text && text->text.starts_with('{'); }

}  // namespace

std::optional<Settings> settings_from_foreign(const std::vector<PngText>& texts, const PictureSource& source) {
  const PngText* prompt = find_text(texts, "prompt");
  const PngText* workflow = find_text(texts, "workflow");
  if (!is_object_text(prompt)) prompt = nullptr;
  if (!is_object_text(workflow)) workflow = nullptr;
  for (const char* keyword : {"invokeai_metadata", "sd-metadata", "Dream"}) {
    if (const PngText* invoke = find_text(texts, keyword)) return read_invoke_metadata(*invoke, source);
  }
  if (prompt || workflow) return read_comfy_graph(prompt, workflow, source);
  const PngText* software = find_text(texts, "Software");
  if (!software) software = find_text(texts, "Source");
  if (!software || !software->text.starts_with("NovelAI")) return std::nullopt;
  const PngText* comment = find_text(texts, "Comment");
  if (!comment) {
    fail(ErrorKind::input, source.file, software->keyword, "NovelAI's own metadata, without its Comment",
         "give its values as flags");
  }
  return read_novelai_comment(*comment, find_text(texts, "Description"), source);
}

}  // namespace sdtorch
