#include "recipes/multilingual_recipe.hpp"

#include <set>
#include <string>
#include <vector>

#include "core/utf8.hpp"
#include "text/unicode.hpp"

namespace sdtorch {
namespace {

using nlohmann::json;

constexpr const char* alt_text_encoder = R"({
  "architectures": ["RobertaSeriesModelWithTransformation"],
  "attention_probs_dropout_prob": 0.1,
  "bos_token_id": 0,
  "classifier_dropout": null,
  "eos_token_id": 2,
  "hidden_act": "gelu",
  "hidden_dropout_prob": 0.1,
  "hidden_size": 1024,
  "initializer_range": 0.02,
  "intermediate_size": 4096,
  "layer_norm_eps": 1e-05,
  "learn_encoder": false,
  "max_position_embeddings": 514,
  "model_type": "xlm-roberta",
  "num_attention_heads": 16,
  "num_hidden_layers": 24,
  "output_past": true,
  "pad_token_id": 1,
  "pooler_fn": "cls",
  "position_embedding_type": "absolute",
  "project_dim": 768,
  "type_vocab_size": 1,
  "use_cache": true,
  "vocab_size": 250002
})";

constexpr const char* tiny_alt_changes = R"({
  "hidden_size": 32,
  "intermediate_size": 64,
  "max_position_embeddings": 80,
  "num_attention_heads": 4,
  "num_hidden_layers": 3,
  "project_dim": 64
})";

/// To SD 1.x's text encoder.
constexpr const char* japanese_changes = R"({
  "bos_token_id": 1,
  "eos_token_id": 2,
  "pad_token_id": 3,
  "vocab_size": 32000
})";

constexpr const char* alt_tokenizer_config = R"({
  "bos_token": "<s>",
  "cls_token": "<s>",
  "eos_token": "</s>",
  "mask_token": "<mask>",
  "model_max_length": 77,
  "pad_token": "<pad>",
  "sep_token": "</s>",
  "tokenizer_class": "XLMRobertaTokenizer",
  "unk_token": "<unk>"
})";

constexpr const char* japanese_tokenizer_config = R"({
  "bos_token": "<s>",
  "do_lower_case": true,
  "eos_token": "</s>",
  "extra_ids": 0,
  "model_max_length": 77,
  "pad_token": "[PAD]",
  "tokenizer_class": "T5Tokenizer",
  "unk_token": "<unk>"
})";

constexpr const char* alt_index_changes = R"({
  "_class_name": "AltDiffusionPipeline",
  "text_encoder": ["alt_diffusion", "RobertaSeriesModelWithTransformation"],
  "tokenizer": ["transformers", "XLMRobertaTokenizer"]
})";

constexpr const char* japanese_index_changes = R"({
  "_class_name": "JapaneseStableDiffusionPipeline",
  "tokenizer": ["transformers", "T5Tokenizer"]
})";

/// "▁" begins a word. ASCII, Latin-1, Cyrillic, kana, and characters that prompts like.
constexpr std::string_view common_characters =
    "▁、。ー一二三人女男子大小上下中山川水火木金土石日月星年春夏秋冬朝夜光空雲雨雪風海花草桜鳥犬猫馬魚龍竹林森町家城寺"
    "門"
    "道車船赤青白黒緑黄紫色的在是和画絵油彩美高立古新東西南北京红绿丘房";

struct CodeRange {
  char32_t first, last;
};
constexpr CodeRange ranges[] = {{'!', '~'},       {0xA1, 0xFF},     {0x410, 0x44F},
                                {0x3041, 0x3096}, {0x30A1, 0x30F6}, {0xAC00, 0xAC1F}};

/// tokenizer.json: the special tokens, then each character as likely as any other.
json character_vocabulary(const std::vector<std::string>& in_front, const std::vector<std::string>& behind,
                          int unknown) {
  json vocab = json::array();
  std::set<std::string> known;
  const auto add = [&](const std::string& text, double score) {
    if (known.insert(text).second) vocab.push_back(json::array({text, score}));
  };
  for (const std::string& token : in_front) add(token, 0);
  for (size_t offset = 0; offset < common_characters.size();) {
    const size_t start = offset;
    next_code_point(common_characters, offset);
    add(std::string(common_characters.substr(start, offset - start)), -1);
  }
  for (const auto& [first, last] : ranges) {
    for (char32_t c = first; c <= last; ++c) add(utf8(c), -1);
  }
  for (const std::string& token : behind) add(token, 0);

  json added = json::array();
  for (size_t id = 0; id < vocab.size(); ++id) {
    if (vocab[id][1] != 0) continue;
    added.push_back({{"id", id},
                     {"content", vocab[id][0]},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  }
  const json marks = {{"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", "always"}, {"split", true}};
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added},
          {"normalizer", nullptr},
          {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", {{{"type", "WhitespaceSplit"}}, marks}}}},
          {"post_processor", nullptr},
          {"decoder", marks},
          {"model", {{"type", "Unigram"}, {"unk_id", unknown}, {"vocab", vocab}, {"byte_fallback", false}}}};
}

}  // namespace

bool is_multilingual(std::string_view family) { return family == "alt" || family == "alt-m18" || family == "japanese"; }

MultilingualRecipe multilingual_recipe(std::string_view family, bool tiny, const json& clip_text_encoder) {
  const bool japanese = family == "japanese";
  MultilingualRecipe recipe{
      .model_index_changes = json::parse(japanese ? japanese_index_changes : alt_index_changes),
      .text_encoder = japanese ? clip_text_encoder : json::parse(alt_text_encoder),
      .tokenizer_config = json::parse(japanese ? japanese_tokenizer_config : alt_tokenizer_config),
      .tokenizer = japanese ? character_vocabulary({"<unk>", "<s>", "</s>", "[PAD]"}, {}, 0)
                            : character_vocabulary({"<s>", "<pad>", "</s>", "<unk>"}, {"<mask>"}, 3)};
  if (japanese) recipe.text_encoder.merge_patch(json::parse(japanese_changes));
  if (family == "alt-m18") recipe.text_encoder["has_pre_transformation"] = true;
  if (tiny) {
    if (!japanese) recipe.text_encoder.merge_patch(json::parse(tiny_alt_changes));
    recipe.text_encoder["vocab_size"] = recipe.tokenizer["model"]["vocab"].size();
  }
  return recipe;
}

}  // namespace sdtorch
