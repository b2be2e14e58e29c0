// vocab.json, merges.txt and the parts of tokenizer.json that make CLIP's byte-pair model.
#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <unordered_map>

#include "core/error.hpp"
#include "io/mapped_file.hpp"
#include "io/stand_in.hpp"
#include "text/clip_tokenizer_files.hpp"
#include "text/tokenizer_json.hpp"

namespace sdtorch {
namespace {

using nlohmann::json;
using PieceIds = std::unordered_map<std::string_view, int32_t>;

/// vocab: piece → id. Every id is a row of the text encoder's embedding: 0…n-1, each once.
std::vector<std::string> pieces_by_id(const json& vocab, const std::string& file, const std::string& prefix) {
  if (vocab.empty()) throw Error(ErrorKind::model, {.file = file, .place = prefix, .reason = "an empty vocabulary"});
  std::vector<std::string> pieces(vocab.size());
  std::vector<bool> taken(vocab.size(), false);
  for (const auto& [piece, value] : vocab.items()) {
    const std::string place = fmt::format("{}{}{:?}", prefix, prefix.empty() ? "" : ".", piece);
    // An id outside of int64 is a float or an uint64 to the parser.
    if (!value.is_number_integer() || (value.is_number_unsigned() && value.get<uint64_t>() >= vocab.size()) ||
        value.get<int64_t>() < 0)
      fail_expected(file, place,
                    fmt::format("an id of 0 to {}, as there are {} pieces", vocab.size() - 1, vocab.size()), value);
    const auto id = value.get<size_t>();
    if (taken[id])
      throw Error(ErrorKind::model,
                  {.file = file, .place = place, .reason = fmt::format("id {} is also that of {:?}", id, pieces[id])});
    taken[id] = true;
    pieces[id] = piece;
  }
  return pieces;
}

PieceIds ids_of(const std::vector<std::string>& pieces) {
  PieceIds ids;
  ids.reserve(pieces.size());
  for (size_t id = 0; id < pieces.size(); ++id) ids.emplace(pieces[id], static_cast<int32_t>(id));
  return ids;
}

BytePairMerge merge_of(std::string_view left, std::string_view right, const PieceIds& ids, const std::string& file,
                       const std::string& place) {
  const auto id_of = [&](std::string_view piece) {
    const auto found = ids.find(piece);
    if (found == ids.end())
      throw Error(
          ErrorKind::model,
          {.file = file, .place = place, .reason = fmt::format("{:?} is not in the vocabulary", piece.substr(0, 200))});
    return found->second;
  };
  const std::string merged = std::string(left) + std::string(right);
  return {.left = id_of(left), .right = id_of(right), .merged = id_of(merged)};
}

/// "left right", one space between.
BytePairMerge merge_of(std::string_view line, const PieceIds& ids, const std::string& file, const std::string& place) {
  const size_t space = line.find(' ');
  if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos)
    throw Error(ErrorKind::model,
                {.file = file, .place = place, .reason = "expected two pieces with one space between"});
  return merge_of(line.substr(0, space), line.substr(space + 1), ids, file, place);
}

std::vector<BytePairMerge> merges_of_text(std::string_view text, const PieceIds& ids, const std::string& file) {
  while (text.ends_with('\n') || text.ends_with('\r')) text.remove_suffix(1);
  std::vector<BytePairMerge> merges;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t size = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, size);
    text.remove_prefix(std::min(size + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.starts_with("#version")) merges.push_back(merge_of(line, ids, file, fmt::format("line {}", number)));
  }
  return merges;
}

std::vector<BytePairMerge> merges_of_json(const json& list, const PieceIds& ids, const std::string& file) {
  if (!list.is_array()) fail_expected(file, "model.merges", "a list", list);
  std::vector<BytePairMerge> merges;
  merges.reserve(list.size());
  for (size_t i = 0; i < list.size(); ++i) {
    const json& entry = list[i];
    const auto place = [&] { return fmt::format("model.merges[{}]", i); };
    if (entry.is_string())
      merges.push_back(merge_of(entry.get_ref<const std::string&>(), ids, file, place()));
    else if (entry.is_array() && entry.size() == 2 && entry[0].is_string() && entry[1].is_string())
      merges.push_back(
          merge_of(entry[0].get_ref<const std::string&>(), entry[1].get_ref<const std::string&>(), ids, file, place()));
    else
      fail_expected(file, place(), "two pieces", entry);
  }
  return merges;
}

/// Throws unless root[key…] is what CLIP has there.
void check_part(const JsonFile& json_file, const std::string& pointer, const json& expected) {
  const json::json_pointer at(pointer);
  static const json null;
  const json& found = json_file.root.contains(at) ? json_file.root.at(at) : null;
  if (found == expected) return;
  std::string place = pointer.substr(1);
  for (char& c : place)
    if (c == '/') c = '.';
  throw Error(ErrorKind::model,
              {.file = json_file.file,
               .place = place,
               .reason = fmt::format("{} is not what a CLIP tokenizer has ({})", brief(found), brief(expected)),
               .hint = "only CLIP's byte-pair tokenizer is supported"});
}

/// That a tokenizer.json does what this tokenizer does. Two spellings of the split expression are in use: transformers
/// 5 and some versions of 4 name the special tokens in it, the files of the original models do not.
void check_parts(const JsonFile& file) {
  check_part(file, "/normalizer/type", "Sequence");
  check_part(file, "/normalizer/normalizers/0", {{"type", "NFC"}});
  check_part(file, "/normalizer/normalizers/1",
             {{"type", "Replace"}, {"pattern", {{"Regex", "\\s+"}}}, {"content", " "}});
  check_part(file, "/normalizer/normalizers/2", {{"type", "Lowercase"}});
  check_part(file, "/normalizer/normalizers/3", nullptr);

  check_part(file, "/pre_tokenizer/type", "Sequence");
  const std::string split = "/pre_tokenizer/pretokenizers/0", byte_level = "/pre_tokenizer/pretokenizers/1";
  const std::string expression = R"('s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+)";
  const json::json_pointer pattern(split + "/pattern/Regex");
  check_part(file, split + "/type", "Split");
  if (!file.root.contains(pattern) || file.root.at(pattern) != expression)
    check_part(file, split + "/pattern/Regex", R"(<\|startoftext\|>|<\|endoftext\|>|)" + expression);
  check_part(file, split + "/behavior", "Removed");
  check_part(file, split + "/invert", true);
  check_part(file, byte_level + "/type", "ByteLevel");
  check_part(file, byte_level + "/add_prefix_space", false);
  if (file.root.contains(json::json_pointer(byte_level + "/use_regex")))
    check_part(file, byte_level + "/use_regex", true);
  check_part(file, "/pre_tokenizer/pretokenizers/2", nullptr);

  const auto check_unless_absent = [&](const std::string& key, const json& expected) {
    const json::json_pointer at("/model/" + key);
    if (file.root.contains(at) && !file.root.at(at).is_null()) check_part(file, "/model/" + key, expected);
  };
  check_unless_absent("type", "BPE");
  check_unless_absent("dropout", 0);
  check_unless_absent("continuing_subword_prefix", "");
  check_unless_absent("fuse_unk", false);
  check_unless_absent("byte_fallback", false);
  check_unless_absent("ignore_merges", false);
  check_part(file, "/model/end_of_word_suffix", BytePairs::end_of_word);
}

}  // namespace

ClipVocabulary read_clip_vocabulary(const JsonFile& all) {
  const json& model = all.value("model");
  if (!model.is_object()) fail_expected(all.file, "model", "an object", model);
  for (const char* key : {"vocab", "merges"})
    if (!model.contains(key))
      throw Error(ErrorKind::model, {.file = all.file, .place = fmt::format("model.{}", key), .reason = "missing"});
  if (!model["vocab"].is_object()) fail_expected(all.file, "model.vocab", "an object", model["vocab"]);
  check_parts(all);
  ClipVocabulary vocabulary{
      .file = all.file, .pieces = pieces_by_id(model["vocab"], all.file, "model.vocab"), .merges = {}};
  vocabulary.merges = merges_of_json(model["merges"], ids_of(vocabulary.pieces), all.file);
  return vocabulary;
}

ClipVocabulary read_clip_vocabulary(const std::filesystem::path& vocab_file, const std::filesystem::path& merges_file) {
  for (const auto& file : {vocab_file, merges_file})
    if (!std::filesystem::exists(file) && !std::filesystem::is_symlink(file))
      throw Error(ErrorKind::model, {.file = file,
                                     .reason = "no such file",
                                     .hint = "a CLIP tokenizer is vocab.json and merges.txt, or tokenizer.json"});
  ClipVocabulary vocabulary{
      .file = vocab_file, .pieces = pieces_by_id(read_tokenizer_json(vocab_file).root, vocab_file, ""), .merges = {}};
  const MappedFile merges(merges_file, ErrorKind::model);
  const std::string_view text(reinterpret_cast<const char*>(merges.bytes().data()), merges.bytes().size());
  try {
    vocabulary.merges = merges_of_text(text, ids_of(vocabulary.pieces), merges_file);
  } catch (const Error&) {
    refuse_stand_in(text, merges_file, ErrorKind::model);
    throw;
  }
  return vocabulary;
}

}  // namespace sdtorch
