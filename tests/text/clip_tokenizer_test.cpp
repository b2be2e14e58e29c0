#include "text/clip_tokenizer.hpp"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "io/json.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/golden.hpp"
#include "support/temp_dir.hpp"

using namespace sdtorch;

namespace {

using Ids = std::vector<int64_t>;

const nlohmann::json& cases() {
  static const nlohmann::json json = read_json_file(golden_path("text/cases.json"), ErrorKind::bug);
  return json;
}

std::vector<std::string> lines_of(const std::filesystem::path& file) {
  std::vector<std::string> lines;
  std::ifstream stream(file);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

const std::vector<std::string>& texts() {
  static const std::vector<std::string> all = [] {
    std::vector<std::string> result;
    for (const std::string& line : lines_of(golden_path("text/strings.jsonl")))
      result.push_back(parse_json(line, "strings.jsonl", ErrorKind::bug).get<std::string>());
    return result;
  }();
  return all;
}

/// The ids of a golden case, those of its base filled in.
std::vector<Ids> golden_ids(const std::string& name) {
  const std::vector<std::string> lines = lines_of(golden_path("text/" + name + ".ids"));
  const nlohmann::json& base = cases()[name]["base"];
  const std::vector<Ids> base_ids = base.is_null() ? std::vector<Ids>{} : golden_ids(base.get<std::string>());
  std::vector<Ids> result;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (lines[i] == "=") {
      result.push_back(base_ids.at(i));
      continue;
    }
    Ids ids;
    std::istringstream numbers(lines[i]);
    for (int64_t id = 0; numbers >> id;) ids.push_back(id);
    result.push_back(ids);
  }
  return result;
}

/// Fills a folder with a golden case's files.
void make_case(const std::string& name, const std::filesystem::path& folder) {
  const nlohmann::json& description = cases()[name];
  const auto vocabulary = description["vocabulary"].get<std::string>();
  // The build tree lies like an installed one: bin/ beside share/sdtorch/.
  const std::filesystem::path clip =
      std::filesystem::path(SDTORCH_BINARY).parent_path().parent_path() / "share" / "sdtorch" / "clip";
  const std::filesystem::path source = vocabulary == "clip" ? clip : golden_path("text/" + vocabulary);
  if (!std::filesystem::is_directory(source)) FAIL(source << " is missing: run scripts/bootstrap");
  for (const auto& entry : std::filesystem::directory_iterator(source))
    std::filesystem::copy(entry.path(), folder / entry.path().filename());
  for (const auto& [file, content] : description["files"].items()) write_file(folder / file, content.dump());
}

ClipTokenizer load_case(const std::string& name) {
  const TempDir folder;
  make_case(name, folder.path());
  return ClipTokenizer::load(folder.path());
}

}  // namespace

TEST_CASE("tokenizers of every kind give transformers' ids", "[text]") {
  REQUIRE(texts().size() >= 5000);
  for (const auto& [name, description] : cases().items()) {
    INFO("case " << name);
    const ClipTokenizer tokenizer = load_case(name);
    CHECK(tokenizer.start_id() == description["start"]);
    CHECK(tokenizer.end_id() == description["end"]);
    CHECK(tokenizer.pad_id() == description["pad"]);
    CHECK(tokenizer.model_max_length() == description["model_max_length"]);
    CHECK(tokenizer.vocab_size() == description["vocab_size"]);
    for (const auto& [id, piece] : description["added"].items()) {
      CHECK(tokenizer.piece(std::stoll(id)) == piece.get<std::string>());
    }

    const std::vector<Ids> expected = golden_ids(name);
    REQUIRE(expected.size() == texts().size());
    std::vector<std::string> wrong;
    for (size_t i = 0; i < expected.size(); ++i)
      if (tokenizer.encode(texts()[i]) != expected[i]) wrong.push_back(nlohmann::json(texts()[i]).dump(-1, ' ', true));
    CHECK(wrong == std::vector<std::string>{});
  }
}

TEST_CASE("pieces are spelled as in the vocabulary", "[text]") {
  const ClipTokenizer tokenizer = load_case("sd2");
  const auto pieces = [&](std::string_view text) {
    std::vector<std::string> result;
    for (const int64_t id : tokenizer.encode(text)) result.push_back(tokenizer.piece(id));
    return result;
  };
  CHECK(pieces("Hello!!") == std::vector<std::string>{"hello</w>", "!", "!"});
  CHECK(pieces(std::string_view("a\0b", 3)) == std::vector<std::string>{"a</w>", "Ā</w>", "b</w>"});
  CHECK_THROWS(tokenizer.piece(-1));
  CHECK_THROWS(tokenizer.piece(tokenizer.vocab_size()));
}

TEST_CASE("the built-in model's tokenizer reads", "[text]") {
  const ClipTokenizer tokenizer =
      ClipTokenizer::load(std::filesystem::path(SDTORCH_SOURCE_DIR) / "models" / "demo" / "tokenizer");
  CHECK(tokenizer.encode("a pirate ship near a paradise beach").size() >= 7);
  CHECK(tokenizer.encode("").empty());
}

TEST_CASE("text is cut into chunks of 75, never shortened", "[text]") {
  const ClipTokenizer tokenizer = load_case("sd2");
  const auto numbered = [](size_t count) {
    Ids ids;
    for (size_t i = 0; i < count; ++i) ids.push_back(1000 + static_cast<int64_t>(i));
    return ids;
  };
  struct Wanted {
    size_t ids, min_chunks;
    std::vector<size_t> lengths;
  };
  for (const Wanted& wanted : std::vector<Wanted>{{0, 0, {0}},
                                                  {0, 1, {0}},
                                                  {1, 1, {1}},
                                                  {75, 1, {75}},
                                                  {76, 1, {75, 1}},
                                                  {150, 1, {75, 75}},
                                                  {151, 2, {75, 75, 1}},
                                                  {3, 3, {3, 0, 0}}}) {
    const Ids ids = numbered(wanted.ids);
    const TokenChunks cut = tokenizer.chunk(ids, wanted.min_chunks);
    CHECK(cut.lengths == wanted.lengths);
    REQUIRE(cut.chunks.size() == wanted.lengths.size());
    Ids joined;
    for (size_t i = 0; i < cut.chunks.size(); ++i) {
      const Ids& chunk = cut.chunks[i];
      const size_t length = cut.lengths[i];
      REQUIRE(chunk.size() == 77);
      CHECK(chunk.front() == 49406);
      CHECK(chunk[length + 1] == 49407);
      for (size_t k = length + 2; k < chunk.size(); ++k) CHECK(chunk[k] == 0);
      joined.insert(joined.end(), chunk.begin() + 1, chunk.begin() + 1 + static_cast<std::ptrdiff_t>(length));
    }
    CHECK(joined == ids);
  }
}

TEST_CASE("text that is not UTF-8 is refused with its offset", "[text]") {
  const ClipTokenizer tokenizer = load_case("small");
  check_error(ErrorKind::input, "offset 3", [&] { tokenizer.encode("sea\xff!"); });
  check_error(ErrorKind::input, "offset 0", [&] { tokenizer.encode("\xed\xa0\x80"); });
}

TEST_CASE("a word of a megabyte takes no more than a moment", "[text]") {
  const ClipTokenizer tokenizer = load_case("sd1");
  const std::string word(size_t{1} << 20, 'a');
  const auto start = std::chrono::steady_clock::now();
  const Ids ids = tokenizer.encode(word);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  CHECK(ids.size() == 131073);
  CHECK(seconds < 30);  // half a second; a quadratic merge would take the better part of an hour
}
