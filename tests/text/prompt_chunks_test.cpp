#include "text/prompt/chunks.hpp"

#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/golden.hpp"
#include "text/clip_tokenizer.hpp"

using namespace sdtorch;

namespace {

/// Whose words are as many tokens as letters.
const Tokenizer& letters() {
  static const ClipTokenizer tokenizer = ClipTokenizer::load(golden_path("pipeline/models/sd1/tokenizer"));
  return tokenizer;
}

std::vector<WeightedChunk> cut(const PromptPieces& pieces, ChunkRule rule) {
  const TokenSource source{.encode = [](std::string_view text) { return letters().encode(text); }};
  return cut_into_chunks(letters(), token_groups(source, pieces, rule), rule);
}

std::vector<size_t> lengths(const PromptPieces& pieces, ChunkRule rule) {
  std::vector<size_t> found;
  for (const WeightedChunk& chunk : cut(pieces, rule)) found.push_back(chunk.tokens.size());
  return found;
}

using Lengths = std::vector<size_t>;

}  // namespace

TEST_CASE("plain cutting fills each chunk", "[text]") {
  using enum ChunkRule;
  CHECK(lengths({{.text = ""}}, plain) == Lengths{0});
  CHECK(lengths({{.text = std::string(75, 'x')}}, plain) == Lengths{75});
  CHECK(lengths({{.text = std::string(80, 'x')}, {.text = "abc", .weight = 2}}, plain) == Lengths{75, 8});
  const PromptPiece next{.text = "BREAK", .weight = -1, .new_chunk = true};
  for (const ChunkRule rule : {plain, a1111, comfy}) {
    CHECK(lengths({{.text = "ab"}, next, {.text = "c"}}, rule) == Lengths{2, 1});
    CHECK(lengths({{.text = "ab"}, next, next, {.text = "c"}}, rule) == Lengths{2, 0, 1});
    CHECK(lengths({{.text = "ab"}, next}, rule) == Lengths{2});
    CHECK(lengths({next, {.text = "c"}}, rule) == Lengths{0, 1});
  }
  const std::vector<WeightedChunk> weighted = cut({{.text = "ab"}, {.text = "c", .weight = 2}}, plain);
  CHECK(weighted[0].tokens[1].weight == 1);
  CHECK(weighted[0].tokens[2].weight == 2);
  CHECK(weighted[0].tokens[2].piece == 1);
}

TEST_CASE("A1111's rule moves the clause that straddles a chunk's end", "[text]") {
  const auto rule = ChunkRule::a1111;
  const std::string x60(60, 'x'), x50(50, 'x');
  CHECK(lengths({{.text = x60 + ", " + std::string(20, 'y')}}, rule) == Lengths{61, 20});
  CHECK(lengths({{.text = x60 + ", " + std::string(14, 'y')}}, rule) == Lengths{75});
  CHECK(lengths({{.text = x60 + ", " + std::string(14, 'y') + ", z"}}, rule) == Lengths{75, 2});
  CHECK(lengths({{.text = std::string(54, 'x') + ", " + std::string(30, 'y')}}, rule) == Lengths{75, 10});
  CHECK(lengths({{.text = std::string(55, 'x') + ", " + std::string(30, 'y')}}, rule) == Lengths{56, 30});
  CHECK(lengths({{.text = x50 + std::string(40, 'y')}}, rule) == Lengths{75, 15});
}

TEST_CASE("ComfyUI's rule keeps short words whole", "[text]") {
  const auto rule = ChunkRule::comfy;
  const std::string x70(70, 'x');
  CHECK(lengths({{.text = x70 + " abcdefg h"}}, rule) == Lengths{70, 8});
  CHECK(lengths({{.text = x70 + " abcdefgh i"}}, rule) == Lengths{75, 4});
  CHECK(lengths({{.text = x70 + " abcde\nf"}}, rule) == Lengths{75, 1});
  CHECK(lengths({{.text = std::string(200, 'x')}}, rule) == Lengths{75, 75, 50});
}

TEST_CASE("compel's rule cuts at a sentence's end, else a phrase's, else a word's", "[text]") {
  const auto rule = ChunkRule::compel;
  const auto text = [](const std::string& sign) {
    return PromptPieces{
        {.text = std::string(20, 'x') + sign + " " + std::string(30, 'y') + " " + std::string(40, 'z')}};
  };
  CHECK(lengths(text("."), rule) == Lengths{21, 70});
  CHECK(lengths(text(","), rule) == Lengths{21, 70});
  CHECK(lengths(text(""), rule) == Lengths{50, 40});
  CHECK(lengths({{.text = std::string(80, 'x')}}, rule) == Lengths{75, 5});
}

TEST_CASE("a learned word's vectors are never cut apart", "[text]") {
  // Ids of 1000 and more are vectors, and odd ones go on.
  const TokenSource source{.encode =
                               [](std::string_view) {
                                 std::vector<int64_t> ids(73, 5);
                                 for (const int64_t id : {1000, 1001, 1003, 1000, 1001}) ids.push_back(id);
                                 return ids;
                               },
                           .goes_on = [](int64_t id) { return id > 1000 && id % 2 == 1; }};
  for (const ChunkRule rule : {ChunkRule::plain, ChunkRule::a1111}) {
    const auto chunks = cut_into_chunks(letters(), token_groups(source, {{.text = "x"}}, rule), rule);
    REQUIRE(chunks.size() == 2);
    CHECK(chunks[0].tokens.size() == 73);
    CHECK(chunks[1].tokens.size() == 5);
  }
}

TEST_CASE("A1111's rule leaves a moved word's vectors where they stood", "[text]") {
  // 60 ids, a comma, 10 ids, a word of three vectors, 2 ids, and the one that does not fit any more.
  const int64_t comma = letters().encode(",").front();
  std::vector<int64_t> ids(60, 5);
  ids.push_back(comma);
  ids.insert(ids.end(), 10, 6);
  for (const int64_t id : {1000, 1001, 1002, 6, 7}) ids.push_back(id);
  const TokenSource source{.encode = [&](std::string_view) { return ids; },
                           .goes_on = [](int64_t id) { return id > 1000; }};
  const auto groups = token_groups(source, {{.text = "x", .weight = 1.5}}, ChunkRule::a1111);
  const auto left = cut_into_chunks(letters(), groups, ChunkRule::a1111, {.staying_from = 1000});
  REQUIRE(left.size() == 2);
  CHECK(left[0].tokens.size() == 61);
  CHECK((left[0].strays == std::vector<StrayVector>{{71, 1000}, {72, 1001}, {73, 1002}}));
  REQUIRE(left[1].tokens.size() == 15);
  CHECK((left[1].tokens[10] == WeightedToken{.id = 0, .weight = 1.5}));
  CHECK(left[1].tokens[12].id == 0);
  CHECK(left[1].tokens[13].id == 6);
  CHECK(left[1].strays.empty());
  // Where nobody says so they go with their clause.
  const auto moved = cut_into_chunks(letters(), groups, ChunkRule::a1111);
  CHECK(moved[0].strays.empty());
  CHECK(moved[1].tokens[10].id == 1000);
}
