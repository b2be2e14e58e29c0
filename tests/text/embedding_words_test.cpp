#include "text/embedding_words.hpp"

#include <nlohmann/json.hpp>

#include "io/json.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"
#include "text/added_words.hpp"
#include "text/clip_tokenizer.hpp"

using namespace sdtorch;

TEST_CASE("the longest word that begins at a place is found", "[text]") {
  EmbeddingWords words;
  CHECK(words.add({5, 6}, 1) == 1);
  CHECK(words.add({5}, 2) == 2);
  CHECK(words.add({5, 6, 7}, 3) == 3);
  CHECK(words.add({9}, 4) == 4);
  CHECK(words.add({5, 6}, 8) == 1);  // it is there already
  const std::vector<int64_t> ids = {5, 6, 7, 5, 6, 8, 5, 9};
  const auto meaning = [&](size_t at) {
    const auto found = words.find(ids, at);
    return found ? std::pair(found->meaning, found->length) : std::pair(size_t{0}, size_t{0});
  };
  CHECK(meaning(0) == std::pair(size_t{3}, size_t{3}));
  CHECK(meaning(1) == std::pair(size_t{0}, size_t{0}));
  CHECK(meaning(3) == std::pair(size_t{1}, size_t{2}));
  CHECK(meaning(6) == std::pair(size_t{2}, size_t{1}));
  CHECK(meaning(7) == std::pair(size_t{4}, size_t{1}));
}

TEST_CASE("names are set apart from what touches them, the longest first, in any case", "[text]") {
  const std::vector<std::string> names = {"<cat>", "<cat>s", "(x"};
  CHECK(set_apart("a <cat>, b", names) == "a  <cat> , b");
  CHECK(set_apart("a(<CAT>s)<cat>", names) == "a( <CAT>s ) <cat> ");
  CHECK(set_apart("<ca", names) == "<ca");
  CHECK(set_apart("", names).empty());
  CHECK(has_open_edge("<cat>"));
  CHECK(has_open_edge("cat!"));
  CHECK_FALSE(has_open_edge("bad-hands-5"));
  CHECK_FALSE(has_open_edge("ネコ"));
}

TEST_CASE("words that are added to a vocabulary have the ids that diffusers' pipelines give them", "[text]") {
  const Tokenizer tokenizer = ClipTokenizer::load(golden_path("pipeline/models/sd1/tokenizer"));
  const nlohmann::json sets = read_json_file(golden_path("inversion/added.json"), ErrorKind::bug);
  for (const auto& [name, set] : sets.items()) {
    AddedWords words(tokenizer);
    std::vector<WordIds> ids;
    int64_t next = set.at("first");
    for (const nlohmann::json& word : set.at("words")) {
      CHECK(words.add(word.at(0), ids.size()) == ids.size());
      ids.push_back({.first = next, .count = word.at(1)});
      next += ids.back().count;
    }
    for (const nlohmann::json& prompt : set.at("prompts")) {
      const std::string text = prompt.at(0);
      INFO(name << ": " << text);
      CHECK(words.encode(text, [&](size_t meaning) { return ids.at(meaning); }) ==
            prompt.at(1).get<std::vector<int64_t>>());
    }
  }
  AddedWords twice(tokenizer);
  CHECK(twice.add("Cat", 3) == 3);
  CHECK(twice.add("cat", 4) == 3);  // the same word in normalized text
  CHECK(twice.add("dog", 5) == 5);
  CHECK(twice.find("a dog, a cat, a CAT") == std::vector<size_t>{5, 3});
  CHECK_FALSE(twice.is_whole(3));
  CHECK(twice.is_whole(5));
}
