#include "text/sentencepiece_tokenizer.hpp"

#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "io/json.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/golden.hpp"
#include "support/multilingual.hpp"
#include "support/temp_dir.hpp"
#include "text/load_tokenizer.hpp"

using namespace sdtorch;

namespace {

using Ids = std::vector<int64_t>;

std::vector<std::string> multilingual_lines(const std::string& golden) {
  std::vector<std::string> lines;
  std::ifstream stream(golden_path("multilingual/" + golden));
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::vector<std::string> multilingual_texts() {
  std::vector<std::string> all;
  for (const std::string& line : multilingual_lines("texts.jsonl"))
    all.push_back(parse_json(line, "texts.jsonl", ErrorKind::bug).get<std::string>());
  return all;
}

Ids numbers(const std::string& line) {
  Ids ids;
  std::istringstream stream(line);
  for (int64_t id = 0; stream >> id;) ids.push_back(id);
  return ids;
}

/// The ids of a golden case, those of its base filled in.
std::vector<Ids> multilingual_ids(const std::string& name) {
  const nlohmann::json& base = multilingual_cases()[name]["base"];
  const std::vector<Ids> base_ids = base.is_null() ? std::vector<Ids>{} : multilingual_ids(base.get<std::string>());
  std::vector<Ids> result;
  for (const std::string& line : multilingual_lines(name + ".ids"))
    result.push_back(line == "=" ? base_ids.at(result.size()) : numbers(line));
  return result;
}

void check_case(const std::string& name, const Tokenizer& tokenizer) {
  const nlohmann::json& description = multilingual_cases()[name];
  const nlohmann::json start = tokenizer.start_id() ? nlohmann::json(*tokenizer.start_id()) : nlohmann::json();
  CHECK(start == description["start"]);
  CHECK(tokenizer.end_id() == description["end"]);
  CHECK(tokenizer.pad_id() == description["pad"]);
  CHECK(tokenizer.model_max_length() == description["model_max_length"]);
  CHECK(tokenizer.vocab_size() == description["vocab_size"]);
  for (const auto& [id, piece] : description["pieces"].items()) {
    CHECK(tokenizer.piece(std::stoll(id)) == piece.get<std::string>());
  }

  const std::vector<std::string> all = multilingual_texts();
  const std::vector<Ids> expected = multilingual_ids(name);
  REQUIRE(all.size() >= 1000);
  REQUIRE(expected.size() == all.size());
  std::vector<std::string> wrong;
  for (size_t i = 0; i < all.size(); ++i)
    if (tokenizer.encode(all[i]) != expected[i]) wrong.push_back(nlohmann::json(all[i]).dump(-1, ' ', true));
  CHECK(wrong == std::vector<std::string>{});
}

/// A folder of one model file.
std::string load_message(const std::string& contents, const char* file = "spiece.model") {
  const TempDir folder;
  write_file(folder / file, contents);
  return error_message(ErrorKind::model, [&] { load_tokenizer(folder.path()); });
}

}  // namespace

TEST_CASE("sentencepiece models give transformers' ids", "[text]") {
  for (const auto& [name, description] : multilingual_cases().items()) {
    INFO("case " << name);
    const TempDir folder;
    make_multilingual_tokenizer(name, folder.path());
    check_case(name, load_tokenizer(folder.path()));
  }
}

TEST_CASE("a tokenizer.json of a unigram model gives transformers' ids", "[text]") {
  for (const auto& [name, description] : multilingual_cases().items()) {
    if (!description.contains("saved_config")) continue;
    INFO("case " << name);
    const TempDir folder;
    make_tokenizer_json(name, folder.path());
    check_case(name, load_tokenizer(folder.path()));
    // Without a config the start token tells the class.
    std::filesystem::remove(folder / "tokenizer_config.json");
    CHECK(load_tokenizer(folder.path()).start_id().has_value() == !description["start"].is_null());
  }
}

TEST_CASE("a sentencepiece model of merges gives sentencepiece's ids", "[text]") {
  const TempDir folder;
  write_file(folder / "spiece.model", file_contents(golden_path("multilingual/bpe.part")));
  const Tokenizer tokenizer = load_tokenizer(folder.path());
  const nlohmann::json words = read_json_file(golden_path("multilingual/bpe.json"), ErrorKind::bug);
  REQUIRE(words.size() > 100);
  for (const auto& [word, ids] : words.items()) {
    INFO(word);
    CHECK(tokenizer.encode(word) == numbers(ids.get<std::string>()));
  }
}

TEST_CASE("a pipeline's word on case and length goes before the files'", "[text]") {
  const TempDir folder;
  make_multilingual_tokenizer("t5", folder.path());
  const Tokenizer plain = load_tokenizer(folder.path());
  const Tokenizer lower = load_tokenizer(folder.path(), {.lower_case = true, .model_max_length = 50});
  CHECK(plain.encode("A Red HOUSE") != plain.encode("a red house"));
  CHECK(lower.encode("A Red HOUSE") == plain.encode("a red house"));
  CHECK(lower.model_max_length() == 50);
  CHECK(lower.chunk_size() == 49);
}

TEST_CASE("text is cut into chunks with the start and end tokens that a model has", "[text]") {
  for (const auto& [name, length] : {std::pair{"alt", size_t{75}}, std::pair{"t5", size_t{76}}}) {
    const TempDir folder;
    make_multilingual_tokenizer(name, folder.path());
    const Tokenizer tokenizer = load_tokenizer(folder.path());
    const TokenChunks cut = tokenizer.chunk(Ids(80, 7), 3);
    CHECK(cut.lengths == std::vector<size_t>{length, 80 - length, 0});
    const size_t start = tokenizer.start_id() ? 1 : 0;
    for (size_t i = 0; i < 3; ++i) {
      const Ids& chunk = cut.chunks[i];
      REQUIRE(chunk.size() == 77);
      if (start == 1) CHECK(chunk.front() == *tokenizer.start_id());
      CHECK(chunk[start + cut.lengths[i]] == tokenizer.end_id());
      for (size_t k = start + cut.lengths[i] + 1; k < chunk.size(); ++k) CHECK(chunk[k] == tokenizer.pad_id());
    }
  }
}

TEST_CASE("of two pieces with one text the later counts", "[text]") {
  const TempDir folder;
  write_file(folder / "tokenizer.json",
             R"({"model": {"type": "Unigram", "unk_id": 2, "vocab": [["<pad>", 0], ["</s>", 0], ["<unk>", 0],
                 ["▁a", -1], ["▁", -1], ["▁a", -2], ["b", -3]]}})");
  CHECK(load_tokenizer(folder.path()).encode("a ab ca") == Ids{5, 5, 6, 4, 2});
}

TEST_CASE("what is no sentencepiece model is named for what is wrong", "[text]") {
  using Catch::Contains;
  const std::string model = sentencepiece_model("t5");
  CHECK_THAT(load_message(""), Contains("spiece.model") && Contains("holds no pieces"));
  CHECK_THAT(load_message("version https://git-lfs.github.com/spec/v1\n"), Contains("Git LFS pointer"));
  CHECK_THAT(load_message("<!DOCTYPE html><html></html>"), Contains("web page"));
  CHECK_THAT(load_message(model.substr(0, 1000)), Contains("offset") && Contains("are left"));
  CHECK_THAT(load_message(std::string(500, '\xff')), Contains("offset 10") && Contains("64 bits"));
  CHECK_THAT(load_message("{\"a\": 1}"), Contains("offset"));
  const auto piece = [](const std::string& text, const std::string& rest = {}) {
    const std::string inner = "\x0a" + std::string(1, static_cast<char>(text.size())) + text + rest;
    return "\x0a" + std::string(1, static_cast<char>(inner.size())) + inner;
  };
  const std::string unknown = piece("<unk>", "\x18\x02");
  const std::string rest = unknown + piece("</s>", "\x18\x03") + piece("a");
  CHECK(load_message(piece("")).find("an empty piece") != std::string::npos);
  CHECK_THAT(load_message(rest + piece("\xff")), Contains("piece 3") && Contains("UTF-8"));
  CHECK_THAT(load_message(rest + piece(std::string("a\0b", 3))), Contains("zero byte"));
  CHECK_THAT(load_message(rest + piece("b", std::string("\x15\0\0\xc0\x7f", 5))), Contains("not finite"));
  CHECK_THAT(load_message(rest + piece("b", "\x18\x09")), Contains("unknown kind 9"));
  CHECK_THAT(load_message(piece("a") + piece("b")), Contains("0 pieces for unknown text"));
  CHECK_THAT(load_message(rest + unknown), Contains("2 pieces for unknown text"));
  CHECK_THAT(load_message(rest, "sentencepiece.bpe.model"), Contains("more than three pieces"));
  CHECK_THAT(load_message(rest + "\x12\x02\x18\x07"), Contains("unknown type 7"));
  CHECK_THAT(load_message(rest + "\x1a\x05\x12\x03xyz"), Contains("precompiled_charsmap"));
  CHECK_THAT(load_message(rest + std::string("\x1a\x0a\x12\x08\xff\xff\xff\xffxyzw", 12)), Contains("trie"));
}

TEST_CASE("a cut or damaged sentencepiece model never ends the process", "[text]") {
  const TempDir folder;
  write_file(folder / "tokenizer_config.json", R"({"tokenizer_class": "T5Tokenizer"})");
  std::string model = file_contents(golden_path("multilingual/t5.part"));
  const std::string whole = model;
  uint32_t random = 1;
  for (int round = 0; round < 200; ++round) {
    model = whole;
    for (int k = 0; k < 3; ++k) {
      random = random * 1664525u + 1013904223u;
      model[random % model.size()] = static_cast<char>(random >> 24);
    }
    if (round % 4 == 0) model.resize(random % model.size());
    write_file(folder / "spiece.model", model);
    try {
      load_tokenizer(folder.path()).encode("赤い屋根の家 and a red house, é\u0301");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::model);
    }
  }
}

TEST_CASE("a tokenizer.json that is no unigram model's is refused by key", "[text]") {
  const auto message = [](const std::string& json) {
    const TempDir folder;
    write_file(folder / "tokenizer_config.json", R"({"tokenizer_class": "XLMRobertaTokenizer"})");
    write_file(folder / "tokenizer.json", json);
    return error_message(ErrorKind::model, [&] { load_tokenizer(folder.path()); });
  };
  using Catch::Contains;
  CHECK_THAT(message("{}"), Contains("model"));
  CHECK_THAT(message(R"({"model": {"type": "BPE"}})"), Contains("model.type") && Contains("Unigram"));
  CHECK_THAT(message(R"({"model": {"vocab": []}})"), Contains("model.vocab"));
  CHECK_THAT(message(R"({"model": {"vocab": [["a", -1], ["b"]], "unk_id": 0}})"), Contains("model.vocab[1]"));
  CHECK_THAT(message(R"({"model": {"vocab": [["a", 1e400]], "unk_id": 0}})"), Contains("finite") || Contains("number"));
  CHECK_THAT(message(R"({"model": {"vocab": [["a", -1]], "unk_id": 1}})"), Contains("model.unk_id"));
  CHECK_THAT(message(R"({"model": {"vocab": [["a", -1]], "unk_id": 0},
                         "normalizer": {"type": "Precompiled", "precompiled_charsmap": "?"}})"),
             Contains("base64"));
  const TempDir empty;
  write_file(empty / "tokenizer_config.json", R"({"tokenizer_class": "XLMRobertaTokenizer"})");
  check_error(ErrorKind::model, "sentencepiece.bpe.model", [&] { load_tokenizer(empty.path()); });
}
