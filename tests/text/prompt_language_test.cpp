// Prompt grammars against independent parsers and compel itself (scripts/goldens/prompt_language.py).
#include <fmt/format.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/golden.hpp"
#include "text/prompt/prompt.hpp"

using namespace sdtorch;

namespace {

nlohmann::json language_cases(const char* name) {
  return nlohmann::json::parse(std::ifstream(golden_path(fmt::format("prompt_language/{}.json", name))));
}

nlohmann::json pieces_as_json(const PromptPieces& pieces) {
  nlohmann::json list = nlohmann::json::array();
  for (const PromptPiece& piece : pieces) list.push_back({piece.text, piece.weight});
  return list;
}

PromptReading read(const std::string& text, const PromptReader& reader = {.calls = {.calls = 6}}) {
  return read_prompt(text, reader, "--prompt");
}

/// The pieces of a prompt that is one text.
const PromptPieces& only_text(const PromptReading& reading) {
  REQUIRE(reading.parts.size() == 1);
  REQUIRE(reading.parts.front().versions.size() == 1);
  return reading.parts.front().versions.front().joined.front().texts.front();
}

void check_wrong(const std::string& text, const std::string& message, PromptSyntax syntax = PromptSyntax::a1111) {
  INFO(text);
  check_error(ErrorKind::input, message, [&] { read(text, {.syntax = syntax, .calls = {.calls = 6}}); });
}

}  // namespace

TEST_CASE("prompts mean what A1111's grammar says", "[text]") {
  for (const nlohmann::json& one : language_cases("a1111")) {
    INFO(one.dump());
    PromptReader reader{.composing = !one.contains("negative"), .calls = {.calls = one.at("calls")}};
    if (one.contains("before")) reader.calls.before = one.at("before").get<int64_t>();
    if (one.contains("wrong")) {
      check_error(ErrorKind::input, "--prompt: column ", [&] { read(one.at("prompt"), reader); });
      continue;
    }
    nlohmann::json parts = nlohmann::json::array();
    for (const PromptPart& part : read(one.at("prompt"), reader).parts) {
      nlohmann::json versions = nlohmann::json::array();
      for (const PromptVersion& version : part.versions) {
        versions.push_back({version.last_call, pieces_as_json(version.joined.front().texts.front())});
      }
      parts.push_back({part.weight, versions});
    }
    CHECK(parts == one.at("parts"));
  }
}

TEST_CASE("prompts mean what ComfyUI's grammar says", "[text]") {
  for (const nlohmann::json& one : language_cases("comfy")) {
    INFO(one.dump());
    const PromptReading reading = read(one.at("prompt"), {.syntax = PromptSyntax::comfy});
    CHECK(pieces_as_json(only_text(reading)) == one.at("pieces"));
  }
}

TEST_CASE("prompts mean what compel reads in them", "[text]") {
  for (const nlohmann::json& one : language_cases("compel")) {
    INFO(one.dump());
    const PromptReader reader{.syntax = PromptSyntax::compel};
    if (one.contains("wrong")) {
      check_error(ErrorKind::input, "--prompt: column ", [&] { read(one.at("prompt"), reader); });
      continue;
    }
    nlohmann::json joined = nlohmann::json::array();
    const PromptReading reading = read(one.at("prompt"), reader);
    for (const PromptBlend& blend : reading.parts.front().versions.front().joined) {
      nlohmann::json texts = nlohmann::json::array();
      for (const PromptPieces& pieces : blend.texts) texts.push_back(pieces_as_json(pieces));
      joined.push_back({blend.strength, blend.normalized, blend.weights, texts});
    }
    CHECK(joined == one.at("joined"));
  }
}

TEST_CASE("a plain prompt is its text", "[text]") {
  const PromptReading reading = read("a (b:1.2) [c|d] AND e\\", {.syntax = PromptSyntax::plain});
  CHECK(pieces_as_json(only_text(reading))[0] == nlohmann::json({"a (b:1.2) [c|d] AND e\\", 1.0}));
  CHECK(reading.warnings.empty());
}

TEST_CASE("a schedule's versions hold as A1111 counts calls", "[text]") {
  const auto at = [](const PromptReading& reading, int64_t call) {
    return reading.parts.front().at_call(call).joined.front().texts.front().front().text;
  };
  const PromptReading edited = read("[a:b:3]", {.calls = {.calls = 10}});
  for (int64_t call = 0; call < 10; ++call) CHECK(at(edited, call) == (call <= 3 ? "a" : "b"));
  const PromptReading alternating = read("[a|b]", {.calls = {.calls = 10}});
  for (int64_t call = 0; call < 10; ++call) CHECK(at(alternating, call) == (call == 0 || call % 2 == 1 ? "a" : "b"));
  CHECK(at(edited, 11) == "a");  // past the schedule's end A1111 begins anew
  const PromptReading unscheduled = read("[a:b:3]", {.editing = false, .calls = {.calls = 10}});
  CHECK(at(unscheduled, 9) == "a:b:3");
}

TEST_CASE("what has no meaning in a prompt is refused by its column", "[text]") {
  check_wrong("é (a:1.2.3)", "--prompt: column 6: the weight '1.2.3' is no number");
  check_wrong("[x:(a:.):3]", "--prompt: column 7: the weight '.' is no number");
  check_wrong("(a:" + std::string(400, '9') + ")", "is too large");
  check_wrong("a:" + std::string(400, '9'), "is too large");
  check_wrong(std::string(100'000, '('), "--prompt: column 201: brackets nest too deep");
  check_wrong(std::string(100'000, '['), "--prompt: column 201: brackets nest too deep");
  check_wrong("a\xff", "--prompt: offset 1: not valid UTF-8");
  check_wrong("(a:nan)", "--prompt: column 4: the weight 'nan' is not finite", PromptSyntax::comfy);
  check_wrong(std::string(1000, '(') + std::string(1000, ')'), "brackets nest too deep", PromptSyntax::comfy);
  check_wrong("a cat.swap(dog)", "--prompt: column 6: .swap() is not supported", PromptSyntax::compel);
  check_wrong("a withLora(x, 1)", "--prompt: column 3: LoRAs in compel's syntax", PromptSyntax::compel);
  check_wrong("(\"a\",\"b\").blend(1,1) c", "column 22: nothing may stand behind .blend()", PromptSyntax::compel);
  check_wrong("(\"a\", \"b\").blend(1)", "column 11: .blend() has 1 weights for 2 prompts", PromptSyntax::compel);
  check_wrong("(\"a\", \"b\").blend(1, -1)", "add up to 0", PromptSyntax::compel);
}

TEST_CASE("hostile prompts are read in time", "[text]") {
  std::string groups = "[";
  for (int i = 0; i < 20'000; ++i) groups += "(a:1.1) [b:c:2] [";
  CHECK_NOTHROW(read(std::string(150, '(') + std::string(200'000, 'a')));
  check_wrong(groups, "brackets nest too deep");
  check_error(ErrorKind::input, "too long to be edited",
              [] { read("[a|b]" + std::string(1 << 20, 'c'), {.calls = {.calls = 1000}}); });
  std::string quotes;
  for (int i = 0; i < 30; ++i) quotes += "(\"";
  for (const PromptSyntax syntax : {PromptSyntax::comfy, PromptSyntax::compel}) {
    CHECK_NOTHROW(read(quotes + std::string(20'000, 'a'), {.syntax = syntax}));
  }
}

TEST_CASE("what merely looks odd in a prompt is said", "[text]") {
  const auto warned = [](const std::string& text, PromptSyntax syntax) {
    const auto lines = read(text, {.syntax = syntax, .calls = {.calls = 4}}).warnings;
    return lines.empty() ? std::string() : lines.front();
  };
  using enum PromptSyntax;
  CHECK(warned("a (cat", a1111).starts_with("--prompt: column 3: '(' is not closed"));
  CHECK(warned("[x:a) cat:2]", a1111).find("column 5: ')' closes nothing") != std::string::npos);
  CHECK(warned("[a:b:2] | c", a1111).find("column 9: '|' here makes text of the whole prompt") != std::string::npos);
  CHECK(warned("[a:b:2] c\\", a1111).find("column 10: '\\' here") != std::string::npos);
  CHECK(warned("a | c", a1111).empty());
  CHECK(warned("(a BREAK b)", a1111).find("BREAK in brackets is a word") != std::string::npos);
  CHECK(warned("a (cat", comfy).find("column 3: '(' has no partner") != std::string::npos);
  CHECK(warned("(\"a\",\"b\").and() c", compel).find("column 17: compel leaves out") != std::string::npos);
  CHECK(warned("a (cat) [dog:cat:2] \\( [", plain).empty());
  CHECK(warned("a (cat) [dog:cat:2] \\(", a1111).empty());
}
