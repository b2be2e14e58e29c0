#include "text/prompt/styles.hpp"

#include "support/catch.hpp"
#include "support/errors.hpp"

using namespace sdtorch;

TEST_CASE("a table of styles is read as A1111 writes it", "[text]") {
  const auto styles = parse_styles(
      "\xEF\xBB\xBFname,prompt,negative_prompt\r\n"
      "Oil,\"oil painting of {prompt}, thick \"\"strokes\"\"\",photo\r\n"
      "\r\n"
      "Lines,\"one\ntwo\", \"a, b\"\n"
      "Bare,only a prompt\n"
      "Empty,,",
      "styles.csv");
  const std::vector<PromptStyle> expected{{"Oil", "oil painting of {prompt}, thick \"strokes\"", "photo"},
                                          {"Lines", "one\ntwo", "a, b"},
                                          {"Bare", "only a prompt", ""},
                                          {"Empty", "", ""}};
  CHECK((styles == expected));
  CHECK(parse_styles("name,text\nOld,a style", "s").front().prompt == "a style");
  const PromptStyle any_order{"S", "p", "n"};
  CHECK((parse_styles("negative_prompt,more,prompt,name\nn,x,p,S\n", "s").front() == any_order));
}

TEST_CASE("what is no table of styles is refused by its line", "[text]") {
  const auto check = [](const char* text, const char* message) {
    INFO(text);
    check_error(ErrorKind::input, message, [&] { parse_styles(text, "styles.csv"); });
  };
  check("", "styles.csv: line 1: is no table of styles");
  check("a cat\na dog", "styles.csv: line 1: is no table of styles");
  check("name,prompt\na,\"b\n\nc", "styles.csv: line 2: a quotation mark is not closed");
  check("name,prompt\na,\"b\nc\"\nd,e,f", "styles.csv: line 4: has 3 fields, and the first line names 2");
  check("name,prompt\n\xff,b", "styles.csv: offset 12: the text is not UTF-8");
}

TEST_CASE("a style takes the prompt in, or stands behind it", "[text]") {
  CHECK(with_style("oil painting of {prompt}, {prompt}!", "a cat") == "oil painting of a cat, a cat!");
  CHECK(with_style("by night", " a cat ") == "a cat, by night");
  CHECK(with_style("", "a cat") == "a cat");
  CHECK(with_style(" by night ", "") == "by night");
  CHECK(with_style("{prompt}", "") == "");
}
