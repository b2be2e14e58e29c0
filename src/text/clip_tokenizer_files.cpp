#include "text/clip_tokenizer_files.hpp"

#include <optional>

#include "core/error.hpp"

namespace sdtorch {
namespace {

constexpr const char* end_of_text = "<|endoftext|>";

}  // namespace

ClipTokenizerFiles read_clip_tokenizer(const std::filesystem::path& folder, const std::string& pad_token) {
  if (!std::filesystem::is_directory(folder))
    throw Error(ErrorKind::model, {.file = folder, .reason = "no such folder; a tokenizer is a folder of files"});
  // transformers takes tokenizer.json where there is one, and does not look at the vocabulary's own two files then.
  std::optional<JsonFile> whole;
  if (const auto file = folder / "tokenizer.json"; std::filesystem::exists(file)) whole = read_tokenizer_json(file);
  ClipTokenizerFiles files;
  files.vocabulary =
      whole ? read_clip_vocabulary(*whole) : read_clip_vocabulary(folder / "vocab.json", folder / "merges.txt");
  const TokenNames names(folder, whole,
                         {{"bos_token", "<|startoftext|>"},
                          {"eos_token", end_of_text},
                          {"unk_token", end_of_text},
                          {"pad_token", pad_token.empty() ? end_of_text : pad_token}});
  if (!names.config().file.empty())
    files.settings = read_settings(names.config(), {"CLIPTokenizer", "CLIPTokenizerFast"});
  files.added = names.to_add();
  files.start = names.named("bos_token");
  files.end = names.named("eos_token");
  files.pad = names.named("pad_token");
  files.unknown = names.named("unk_token");
  return files;
}

}  // namespace sdtorch
