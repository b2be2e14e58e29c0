#include "text/embedding_words.hpp"

#include "support/catch.hpp"

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
