#include "text/load_tokenizer.hpp"

#include <algorithm>
#include <string_view>

#include "text/clip_tokenizer.hpp"
#include "text/sentencepiece_tokenizer.hpp"
#include "text/tokenizer_json.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;

constexpr const char* sentencepiece_files[] = {"sentencepiece.bpe.model", "spiece.model"};

bool has_sentencepiece_file(const fs::path& folder) {
  return std::ranges::any_of(sentencepiece_files, [&](const char* file) { return fs::exists(folder / file); });
}

bool is_sentencepiece(const fs::path& folder) {
  if (const auto file = folder / "tokenizer_config.json"; fs::exists(file)) {
    const JsonFile config = read_tokenizer_json(file);
    if (const nlohmann::json& name = config.value("tokenizer_class"); name.is_string()) {
      const auto& text = name.get_ref<const std::string&>();
      if (text.starts_with("CLIPTokenizer")) return false;
      if (text.starts_with("XLMRobertaTokenizer") || text.starts_with("T5Tokenizer")) return true;
    }
  }
  if (fs::exists(folder / "vocab.json")) return false;
  if (has_sentencepiece_file(folder)) return true;
  const fs::path whole = folder / "tokenizer.json";
  if (!fs::exists(whole)) return false;
  const nlohmann::json::json_pointer type("/model/type");
  const JsonFile file = read_tokenizer_json(whole);
  return file.root.contains(type) && file.root.at(type) == "Unigram";
}

}  // namespace

bool holds_tokenizer(const fs::path& folder) {
  return fs::exists(folder / "tokenizer.json") || fs::exists(folder / "vocab.json") || has_sentencepiece_file(folder);
}

Tokenizer load_tokenizer(const fs::path& folder, const TokenizerOptions& options) {
  if (is_sentencepiece(folder)) {
    return SentencepieceTokenizer::load(
        folder, {.lower_case = options.lower_case, .model_max_length = options.model_max_length});
  }
  return ClipTokenizer::load(folder, {.pad_token = options.pad_token});
}

}  // namespace sdtorch
