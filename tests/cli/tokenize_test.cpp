#include "cli/tokenize.hpp"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "support/captured_stderr.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/golden.hpp"

using namespace sdtorch;

namespace {

std::string run(const TokenizeOptions& options, const std::string& input = "") {
  std::istringstream in(input);
  std::ostringstream out;
  const int exit_code = tokenize_command(options, in, out);  // outside of CHECK, which would catch what it throws
  CHECK(exit_code == 0);
  return out.str();
}

std::filesystem::path small() { return golden_path("text/small"); }

std::vector<nlohmann::json> json_lines(const std::string& text) {
  std::vector<nlohmann::json> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

}  // namespace

TEST_CASE("tokenize writes a JSON line for each text", "[cli]") {
  const std::string out = run({.model = small(), .texts = {"the sky!", "", std::string(80, '!')}, .json = true});
  CHECK(out.starts_with("{\"ids\":["));
  const auto lines = json_lines(out);
  REQUIRE(lines.size() == 3);
  CHECK(lines[0]["pieces"] == nlohmann::json({"the</w>", "sky</w>", "!</w>"}));
  CHECK(lines[0]["ids"].size() == 3);
  CHECK(lines[0]["chunks"] == 1);
  CHECK(lines[1] ==
        nlohmann::json({{"ids", nlohmann::json::array()}, {"pieces", nlohmann::json::array()}, {"chunks", 1}}));
  CHECK(lines[2]["ids"].size() == 80);
  CHECK(lines[2]["chunks"] == 2);
}

TEST_CASE("tokenize reads a text a line from standard input", "[cli]") {
  const std::string out = run({.model = small(), .texts = {"-"}, .json = true}, "sky\r\n\n  hill \nlast");
  const auto lines = json_lines(out);
  REQUIRE(lines.size() == 4);
  CHECK(lines[0]["pieces"] == nlohmann::json({"sky</w>"}));
  CHECK(lines[1]["ids"].empty());
  CHECK(lines[3]["ids"].size() > 0);
}

TEST_CASE("tokenize shows a person ids, pieces and where chunks begin", "[cli]") {
  const std::string out = run({.model = small(), .texts = {"sky " + std::string(75, '!') + "\x1b[31m"}});
  for (const char* part :
       {"in 2 chunks of up to 75", "chunk 1 of 2: 75 tokens\n", "chunk 2 of 2: ", "\"sky</w>\"", "\\u001b[31m"})
    CHECK(out.find(part) != std::string::npos);
  CHECK(out.find('\x1b') == std::string::npos);
}

TEST_CASE("tokenize says where text is not UTF-8, after what came before", "[cli]") {
  std::istringstream in("sky\nhi\xffll\n");
  std::ostringstream out;
  const TokenizeOptions options{.model = small(), .texts = {"-"}, .json = true};
  check_error(ErrorKind::input, "<stdin>: line 2, offset 2: not valid UTF-8",
              [&] { tokenize_command(options, in, out); });
  CHECK(json_lines(out.str()).size() == 1);
  check_error(ErrorKind::input, "TEXT 2: offset 0", [&] { run({.model = small(), .texts = {"a", "\xc3"}}); });
}

TEST_CASE("tokenize refuses what it cannot read", "[cli]") {
  check_error(ErrorKind::usage, "no text", [] { run({.model = small()}); });
  check_error(ErrorKind::model, "there is no such model folder",
              [] { run({.model = "/nonexistent", .texts = {"a"}}); });
  check_error(ErrorKind::model, "no tokenizer",
              [] { run({.model = golden_path("text").parent_path(), .texts = {"a"}}); });
}

TEST_CASE("tokenize takes the built-in model where none is named", "[cli]") {
  const std::filesystem::path demo = std::filesystem::path(SDTORCH_SOURCE_DIR) / "models" / "demo";
  CHECK(run({.texts = {"a pirate ship"}, .json = true}) ==
        run({.model = demo, .texts = {"a pirate ship"}, .json = true}));
}

TEST_CASE("tokenize shows what a prompt's grammar says", "[cli]") {
  const std::string prompt = "a [sky:(hill:1.5):2] AND sky:0.5";
  const auto lines = json_lines(run({.model = small(), .texts = {prompt}, .json = true, .rules = {.steps = 4}}));
  REQUIRE(lines.size() == 1);
  const nlohmann::json& parts = lines[0].at("parts");
  REQUIRE(parts.size() == 2);
  const nlohmann::json &edit = parts[0]["tree"][1], &versions = parts[0]["versions"];
  CHECK(parts[0]["tree"][0] == "a ");
  CHECK(edit["edit"] == nlohmann::json({{"sky"}, {"(hill:1.5)"}}));
  CHECK(edit["when"] == "2");
  CHECK(versions[0]["last_call"] == 2);
  CHECK(versions[0]["pieces"][0] == nlohmann::json({"a sky", 1.0}));
  CHECK(versions[1]["last_call"] == 4);
  CHECK(versions[1]["pieces"][1] == nlohmann::json({"hill", 1.5}));
  CHECK(versions[1]["chunks"][0].back()[1] == 1.5);
  CHECK(parts[1]["weight"] == 0.5);
  CHECK(lines[0]["pieces"] == nlohmann::json({"a</w>", "sky</w>"}));

  const std::string table = run({.model = small(), .texts = {prompt}, .rules = {.steps = 4}});
  for (const char* part : {"AND, weight 0.5", "until 2:", "then:", "up to call 4:", "1.5     \"hill\""}) {
    INFO(part);
    CHECK(table.find(part) != std::string::npos);
  }
}

TEST_CASE("tokenize shows tags with their names and weights", "[cli]") {
  const std::string text = "a <lora:style:0.5:0.8>sky <hypernet:mood:0.3> <lora:late:0.2@0,0.8@0.5> <foo:x>(";
  std::string out;
  std::string log = stderr_of([&] { out = run({.model = small(), .texts = {text}, .json = true}); });
  const nlohmann::json line = json_lines(out).at(0);
  CHECK(line.at("tags").size() == 3);
  CHECK(line["tags"][0] == nlohmann::json({{"tag", "<lora:style:0.5:0.8>"},
                                           {"kind", "lora"},
                                           {"name", "style"},
                                           {"unet", 0.8},
                                           {"text_encoder", 0.5}}));
  CHECK(line["tags"][1]["weight"] == 0.3);
  CHECK(line["tags"][2]["unet"] == "0.2@0,0.8@0.5");
  CHECK(line["pieces"] == nlohmann::json({"a</w>", "sky</w>"}));
  CHECK(log.find("<foo:x> is left out") != std::string::npos);
  CHECK(log.find("TEXT: column 80: '(' is not closed") != std::string::npos);
  log = stderr_of([&] { out = run({.model = small(), .texts = {text}}); });
  CHECK(out.find("LoRA \"style\", U-Net 0.8, text encoder 0.5\n") != std::string::npos);
  CHECK(out.find("hypernetwork \"mood\", weight 0.3\n") != std::string::npos);
  const auto as_text = [&](Request rules, bool negative) {
    const nlohmann::json one = json_lines(run({.model = small(),
                                               .texts = {"a <lora:b:1>"},
                                               .json = true,
                                               .rules = std::move(rules),
                                               .negative = negative}))
                                   .at(0);
    return !one.contains("tags") && one["ids"].size() > 1;
  };
  CHECK(as_text({.compat = "comfy"}, false));
  CHECK(as_text({.compat = "a1111"}, true));
  CHECK_FALSE(as_text({.compat = "a1111"}, false));
  check_error(ErrorKind::usage, "<lora:a:b>: 'b' is no weight",
              [] { run({.model = small(), .texts = {"<lora:a:b>"}}); });
}

TEST_CASE("tokenize counts learned words by their vectors", "[cli]") {
  const std::filesystem::path model = golden_path("pipeline/models/sd1");
  const std::string statue = golden_path("inversion/statue.pt").string();
  TokenizeOptions options{.model = model, .texts = {"a cat-statue"}, .json = true};
  const size_t before = json_lines(run(options)).at(0)["ids"].size();
  options.rules.embedding = {statue};
  for (const std::filesystem::path& place : {model, model / "tokenizer"}) {
    INFO(place.string());
    options.model = place;
    const nlohmann::json line = json_lines(run(options)).at(0);
    CHECK(before > 3);
    CHECK(line["ids"].size() == 3);
    CHECK(line["pieces"][1] == "cat-statue (1 of 2)");
    CHECK(line["pieces"][2] == "cat-statue (2 of 2)");
    CHECK(line["words"] == nlohmann::json({{{"name", "cat-statue"}, {"file", statue}, {"vectors", 2}}}));
  }
  options.json = false;
  CHECK(run(options).find("word \"cat-statue\", 2 vectors: ") != std::string::npos);
  options = {.model = model, .texts = {"a statue"}, .json = true};
  options.embd_dir = golden_path("inversion").string();
  CHECK(json_lines(run(options)).at(0)["ids"].size() == 3);
  options.rules.compat = "comfy";
  CHECK_FALSE(json_lines(run(options)).at(0).contains("words"));
  options.embd_dir = "nowhere";
  check_error(ErrorKind::usage, "--embd-dir: 'nowhere' is no folder", [&] { run(options); });
  options = {.model = golden_path("families/models/xl"), .texts = {"a cat-statue"}};
  options.rules.embedding = {statue};
  check_error(ErrorKind::model, "statue.pt", [&] { run(options); });
}

TEST_CASE("tokenize reads prompts by the syntax that it is told", "[cli]") {
  const auto first = [](const std::string& text, Request rules, bool negative = false) {
    const auto lines = json_lines(
        run({.model = small(), .texts = {text}, .json = true, .rules = std::move(rules), .negative = negative}));
    return lines.at(0).at("parts").at(0).at("versions").at(0);
  };
  CHECK(first("(a:1.2)", {.prompt_syntax = "plain"})["pieces"][0] == nlohmann::json({"(a:1.2)", 1.0}));
  CHECK(first("(a:1.2)", {.compat = "diffusers"})["pieces"][0] == nlohmann::json({"(a:1.2)", 1.0}));
  CHECK(first("(a (b:0.5):2)", {.prompt_syntax = "comfy"})["pieces"][1] == nlohmann::json({"b", 0.5}));
  CHECK(first("a AND b", {}, true)["pieces"][0] == nlohmann::json({"a AND b", 1.0}));
  CHECK(first("[a:b:3]", {.steps = 4, .sampler = "heun"})["last_call"] == 3);
  const nlohmann::json blend = first("(\"a\", \"b\").blend(1, 0.5)", {.prompt_syntax = "compel"})["joined"][0];
  CHECK(blend["blend"][1]["weight"] == 0.5);
  CHECK(blend["blend"][1]["pieces"][0] == nlohmann::json({"b", 1.0}));
  const nlohmann::json half = first("(\"a\").blend(0.5, no_normalize)", {.prompt_syntax = "compel"})["joined"][0];
  CHECK(half["normalized"] == false);
  CHECK(half["blend"][0]["weight"] == 0.5);
  std::istringstream in("a\n(b:1.1.1)\n");
  std::ostringstream out;
  check_error(ErrorKind::input, "<stdin>: line 2, column 4: the weight",
              [&] { tokenize_command({.model = small(), .texts = {"-"}}, in, out); });
  check_error(ErrorKind::usage, "--prompt-syntax", [&] { first("a", {.prompt_syntax = "foo"}); });
  check_error(ErrorKind::usage, "--sampler", [&] { first("a", {.sampler = "foo"}); });
}
