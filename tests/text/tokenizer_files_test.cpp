// Tokenizer files that are broken or hostile: each is refused by name.
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "io/json.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/golden.hpp"
#include "support/temp_dir.hpp"
#include "text/clip_tokenizer.hpp"

using namespace sdtorch;
using nlohmann::json;

namespace {

void copy_small(const std::filesystem::path& folder, const std::string& which) {
  for (const auto& entry : std::filesystem::directory_iterator(golden_path("text/" + which)))
    std::filesystem::copy(entry.path(), folder / entry.path().filename());
}

json golden_json(const std::string& name) { return read_json_file(golden_path("text/" + name), ErrorKind::bug); }

/// A vocabulary file, changed.
std::string vocab(const std::function<void(json&)>& change) {
  json all = golden_json("small/vocab.json");
  change(all);
  return all.dump();
}

std::string tokenizer_json(const std::function<void(json&)>& change) {
  json all = golden_json("small_json/tokenizer.json");
  change(all);
  return all.dump();
}

std::string merges(const std::string& more) { return file_contents(golden_path("text/small/merges.txt")) + more; }

struct Bad {
  std::string file;      ///< which file of the small tokenizer is replaced
  std::string contents;  ///< by what
  std::string fragment;  ///< what the message must hold, beside the file's name
};

}  // namespace

TEST_CASE("bad vocabularies and merges are refused by file and place", "[text]") {
  const auto set = [](const std::string& piece, const json& id) { return vocab([&](json& all) { all[piece] = id; }); };
  const std::vector<Bad> table = {
      {"vocab.json", "", "line 1"},
      {"vocab.json", "[1, 2]", "expected an object, found an array of 2 values"},
      {"vocab.json", "{}", "an empty vocabulary"},
      {"vocab.json", R"({"a": 0, "b": )", "line 1, column"},
      {"vocab.json", R"({"a": 0, "a": 1})", "occurs twice"},
      {"vocab.json", std::string(100000, '['), "nested more than"},
      {"vocab.json", set("sky</w>", 3), "id 3 is also that of"},
      {"vocab.json", set("sky</w>", -1), R"("sky</w>": expected an id of 0 to 827, as there are 828 pieces, found -1)"},
      {"vocab.json", set("sky</w>", 828), "found 828"},
      {"vocab.json", set("sky</w>", 18446744073709551615u), "found 18446744073709551615"},
      {"vocab.json", set("sky</w>", 1e300), "found 1e+300"},
      {"vocab.json", set("sky</w>", 1.5), "found 1.5"},
      {"vocab.json", set("sky</w>", "12"), R"(found "12")"},
      {"vocab.json", set("sky</w>", nullptr), "found null"},
      {"vocab.json", vocab([](json& all) { all.erase("sky</w>"); }), "expected an id of 0 to 826"},
      {"merges.txt", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "merges.txt: is a Git LFS pointer"},
      {"merges.txt", merges("s\n"), "line 316: expected two pieces with one space between"},
      {"merges.txt", merges("a b c\n"), "line 316: expected two pieces"},
      {"merges.txt", merges("\na b\n"), "line 316: expected two pieces"},
      {"merges.txt", merges("nosuchpiece a\n"), R"(line 316: "nosuchpiece" is not in the vocabulary)"},
      {"merges.txt", merges("z z\n"), R"(line 316: "zz" is not in the vocabulary)"},
      {"merges.txt", merges("\xff\xfe a\n"), "line 316"},
      {"merges.txt", merges(std::string(1 << 20, 'x') + " a\n"), "line 316"},
  };
  for (const Bad& bad : table) {
    const TempDir folder;
    copy_small(folder.path(), "small");
    write_file(folder / bad.file, bad.contents);
    const std::string message = error_message(ErrorKind::model, [&] { ClipTokenizer::load(folder.path()); });
    INFO("message: " << message << "\nwanted:  " << bad.fragment);
    CHECK(message.find(bad.file) != std::string::npos);
    CHECK(message.find(bad.fragment) != std::string::npos);
    CHECK(message.size() < 1000);
  }
}

TEST_CASE("a tokenizer.json that is not CLIP's is refused by its key", "[text]") {
  const auto at = [](const std::string& pointer, const json& value) {
    return tokenizer_json([&](json& all) { all[json::json_pointer(pointer)] = value; });
  };
  const auto without = [](const std::string& key) {
    return tokenizer_json([&](json& all) { all["model"].erase(key); });
  };
  const std::vector<Bad> table = {
      {"", "[]", "expected an object"},
      {"", "{}", "model: expected an object, found null"},
      {"", without("vocab"), "model.vocab: missing"},
      {"", without("merges"), "model.merges: missing"},
      {"", without("end_of_word_suffix"), "model.end_of_word_suffix: null"},
      {"", at("/model/vocab", json::array({"a"})), "model.vocab: expected an object"},
      {"", at("/model/vocab/a", -5), R"(model.vocab."a": expected an id)"},
      {"", at("/model/merges", "a b"), "model.merges: expected a list"},
      {"", at("/model/merges/3", json::array({"a"})), "model.merges[3]: expected two pieces"},
      {"", at("/model/merges/3", 7), "model.merges[3]: expected two pieces, found 7"},
      {"", at("/model/merges/3", "ab"), "model.merges[3]: expected two pieces with one space"},
      {"", at("/model/merges/3", json::array({"a", "nosuchpiece"})), "model.merges[3]: \"nosuchpiece\""},
      {"", at("/model/type", "WordPiece"), "model.type: \"WordPiece\""},
      {"", at("/model/dropout", 0.1), "model.dropout: 0.1"},
      {"", at("/model/byte_fallback", true), "model.byte_fallback"},
      {"", at("/model/ignore_merges", true), "model.ignore_merges"},
      {"", at("/model/fuse_unk", true), "model.fuse_unk"},
      {"", at("/model/continuing_subword_prefix", "##"), "model.continuing_subword_prefix"},
      {"", at("/normalizer", nullptr), "normalizer.type: null"},
      {"", at("/normalizer/normalizers/0/type", "NFKC"), "normalizer.normalizers.0"},
      {"", at("/normalizer/normalizers/2", {{"type", "StripAccents"}}), "normalizer.normalizers.2"},
      {"", at("/normalizer/normalizers/3", {{"type", "StripAccents"}}), "normalizer.normalizers.3"},
      {"", at("/pre_tokenizer/pretokenizers/0/pattern/Regex", "\\w+"), "pre_tokenizer.pretokenizers.0.pattern.Regex"},
      {"", at("/pre_tokenizer/pretokenizers/0/invert", false), "pre_tokenizer.pretokenizers.0.invert"},
      {"", at("/pre_tokenizer/pretokenizers/1/add_prefix_space", true), "add_prefix_space"},
      {"", at("/pre_tokenizer/pretokenizers/1/use_regex", false), "use_regex"},
      {"", at("/added_tokens", "x"), "added_tokens: expected a list"},
      {"", at("/added_tokens/0/id", "x"), "added_tokens[0].id: expected a token's id"},
      {"", at("/added_tokens/0/id", 5), R"("<|startoftext|>" has id 5 here, but 826 in the vocabulary)"},
      {"", at("/added_tokens/1/content", 5), "added_tokens[1].content: expected a string"},
      {"", at("/added_tokens/1/lstrip", 5), "added_tokens[1].lstrip: expected true or false"},
      {"", at("/added_tokens/1/color", 5), "added_tokens[1].color: not a property"},
  };
  for (const Bad& bad : table) {
    const TempDir folder;
    write_file(folder / "tokenizer.json", bad.contents);
    const std::string message = error_message(ErrorKind::model, [&] { ClipTokenizer::load(folder.path()); });
    INFO("message: " << message << "\nwanted:  " << bad.fragment);
    CHECK(message.find("tokenizer.json") != std::string::npos);
    CHECK(message.find(bad.fragment) != std::string::npos);
  }
}

TEST_CASE("bad token names and settings are refused by file and key", "[text]") {
  const std::string config = "tokenizer_config.json", map = "special_tokens_map.json", added = "added_tokens.json";
  const std::vector<Bad> table = {
      {config, "[]", "expected an object"},
      {config, R"({"bos_token": 5})", "bos_token: expected a token, found 5"},
      {config, R"({"pad_token": null})", "pad_token: expected a token, found null"},
      {config, R"({"eos_token": {"lstrip": false}})", "eos_token.content: missing"},
      {config, R"({"bos_token": "<start>"})", R"(bos_token: "<start>" is not in the vocabulary)"},
      {config, R"({"pad_token": "<pad>"})", R"(pad_token: "<pad>" is not in the vocabulary)"},
      {config, R"({"eos_token": ""})", "eos_token: an empty token"},
      {config, R"({"model_max_length": 2})", "model_max_length: expected a length of 3 to 1000000 tokens, found 2"},
      {config, R"({"model_max_length": -77})", "found -77"},
      {config, R"({"model_max_length": 1e15})", "model_max_length"},
      {config, R"({"model_max_length": 76.5})", "found 76.5"},
      {config, R"({"model_max_length": "77"})", R"(found "77")"},
      {config, R"({"tokenizer_class": "T5Tokenizer"})",
       R"(tokenizer_class: expected CLIPTokenizer or CLIPTokenizerFast, found "T5Tokenizer")"},
      {config, R"({"padding_side": "left"})", "padding_side: expected right"},
      {config, R"({"split_special_tokens": 1})", "split_special_tokens"},
      {config, R"({"additional_special_tokens": [1]})", "additional_special_tokens[0]: expected a token, found 1"},
      {config, R"({"additional_special_tokens": "x"})", "additional_special_tokens: expected a list of tokens"},
      {config, R"({"added_tokens_decoder": []})", "added_tokens_decoder: expected an object"},
      {config, R"({"added_tokens_decoder": {"x": {"content": "y"}}})", "added_tokens_decoder.x: expected a token's id"},
      {config, R"({"added_tokens_decoder": {"-1": {"content": "y"}}})", "added_tokens_decoder.-1"},
      {config, R"({"added_tokens_decoder": {"900": {"content": "y"}}})", "\"y\" has id 900 here, but"},
      {config, R"({"added_tokens_decoder": {"828": {"content": "<A>"}, "829": {"content": "<a>"}}})",
       "cannot be told apart"},
      {map, R"({"pad_token": 1})", "pad_token: expected a token"},
      {map, "{", "line 1"},
      {added, R"({"<cat>": -1})", R"("<cat>": expected a token's id, found -1)"},
      {added, R"({"<cat>": 5})", R"("<cat>" has id 5 here, but 828 in the vocabulary)"},
      {added, R"({"<cat>": 99999999999})", "expected a token's id"},
  };
  for (const Bad& bad : table) {
    const TempDir folder;
    copy_small(folder.path(), "small");
    write_file(folder / bad.file, bad.contents);
    const std::string message = error_message(ErrorKind::model, [&] { ClipTokenizer::load(folder.path()); });
    INFO("message: " << message << "\nwanted:  " << bad.fragment);
    if (bad.fragment.find("told apart") == std::string::npos) CHECK(message.find(bad.file) != std::string::npos);
    CHECK(message.find(bad.fragment) != std::string::npos);
  }
}

TEST_CASE("files that are missing are named", "[text]") {
  const TempDir folder;
  const auto load = [&] { ClipTokenizer::load(folder.path()); };
  check_error(ErrorKind::model, "no such folder", [&] { ClipTokenizer::load(folder / "nowhere"); });
  check_error(ErrorKind::model, "vocab.json: no such file", load);
  copy_small(folder.path(), "small");
  std::filesystem::remove(folder / "merges.txt");
  check_error(ErrorKind::model, "merges.txt: no such file", load);
  std::filesystem::create_directory(folder / "merges.txt");
  check_error(ErrorKind::model, "merges.txt", load);
}

TEST_CASE("a vocabulary without its byte units needs its unknown token", "[text]") {
  const TempDir folder;
  const auto write = [&](const json& vocabulary) {
    write_file(folder / "vocab.json", vocabulary.dump());
    write_file(folder / "merges.txt", "#version: 0.2\r\na b</w>\r\n\r\n");
  };
  write({{"a", 0}, {"b</w>", 1}, {"ab</w>", 2}, {"<|startoftext|>", 3}, {"<|endoftext|>", 4}});
  CHECK(ClipTokenizer::load(folder.path()).encode("ab aab xb") == std::vector<int64_t>{2, 0, 2, 4, 1});
  write_file(folder / "tokenizer_config.json", R"({"unk_token": "<unk>"})");
  check_error(ErrorKind::model, "byte unit", [&] { ClipTokenizer::load(folder.path()); });
}
