#include "io/json.hpp"

#include <limits>

#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/temp_dir.hpp"

using sdtorch::ErrorKind;

TEST_CASE("JSON that is right is read", "[io]") {
  const auto parse = [](const char* text) { return sdtorch::parse_json(text, "x.json", ErrorKind::model); };
  const nlohmann::json all = parse("\xef\xbb\xbf{\"a\": [1, -2, 2.5, true, null, \"\\u00e9\"], \"b\": {\"a\": []}}");
  CHECK(all == nlohmann::json({{"a", {1, -2, 2.5, true, nullptr, "é"}}, {"b", {{"a", nlohmann::json::array()}}}}));
  CHECK(parse("3") == 3);
  CHECK(parse("18446744073709551615").get<uint64_t>() == std::numeric_limits<uint64_t>::max());
}

TEST_CASE("Python's infinities are numbers, within strings they are text", "[io]") {
  const nlohmann::json json = sdtorch::parse_json(
      R"({"min": -Infinity, "max": Infinity, "text": "\"Infinity, -Infinity"})", "x.json", ErrorKind::model);
  CHECK(json["min"].get<double>() == -std::numeric_limits<double>::infinity());
  CHECK(json["max"].get<double>() == std::numeric_limits<double>::infinity());
  CHECK(json["text"] == "\"Infinity, -Infinity");
}

TEST_CASE("JSON that is wrong is refused with its line and column", "[io]") {
  struct Case {
    std::string text, message;
  };
  const Case cases[] = {
      {"", "x.json: line 1, column 1: "},
      {"{\n  \"a\": 1,\n  \"a\": 2}", "x.json: line 3, column 5: the key \"a\" occurs twice"},
      {"{\n  \"a\": ]\n}", "x.json: line 2, column 8: syntax error"},
      {"{} x", "x.json: line 1, column 4: syntax error"},
      {"{\"a\": NaN}", "line 1, column 7"},
      {"{\"a\": 1e999}", ": number overflow parsing"},
      {"\"\xff\"", "line 1, column 2"},
      {"[" + std::string(100000, '1') + "x]", "111…"},
      {"[1, 2", "line 1, column 5"},
      {std::string(100, '['), "line 1, column 65: nested more than 64 deep"},
      {std::string(1'000'000, '['), "nested more than 64 deep"},
  };
  for (const Case& c : cases) {
    INFO(c.text.substr(0, 50));
    check_error(ErrorKind::input, c.message, [&] { sdtorch::parse_json(c.text, "x.json", ErrorKind::input); });
  }
  check_error(ErrorKind::input, "prompts.jsonl: line 7, column 1: ", [] {
    sdtorch::parse_json("{", "prompts.jsonl", ErrorKind::input, {.first_line = 7});
  });
  check_error(ErrorKind::model, "has 5 bytes of JSON, more than the 4 that are read",
              [] { sdtorch::parse_json("12345", "x.json", ErrorKind::model, {.max_bytes = 4}); });
}

TEST_CASE("JSON files that are missing, folders or empty are refused by name", "[io]") {
  const TempDir folder;
  write_file(folder / "empty.json", "");
  check_error(ErrorKind::model, "none.json: cannot be opened: No such file",
              [&] { sdtorch::read_json_file(folder / "none.json", ErrorKind::model); });
  check_error(ErrorKind::model, "is a folder", [&] { sdtorch::read_json_file(folder.path(), ErrorKind::model); });
  check_error(ErrorKind::model, "empty.json: line 1, column 1: ", [&] {
    sdtorch::read_json_file(folder / "empty.json", ErrorKind::model);
  });
  check_error(ErrorKind::input, "no regular file", [] { sdtorch::read_json_file("/dev/null", ErrorKind::input); });
}
