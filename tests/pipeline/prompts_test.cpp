// Weights, schedules and composed prompts against transformers, diffusers and compel
// (scripts/goldens/prompt_pictures.py).
#include <fmt/format.h>

#include <fstream>
#include <map>
#include <vector>

#include "pipeline/prompt_rules.hpp"
#include "pipeline/prompt_tags.hpp"
#include "pipeline/prompt_weights.hpp"
#include "pipeline/resolve.hpp"
#include "support/catch.hpp"
#include "support/drawing.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/golden.hpp"
#include "support/golden_pictures.hpp"
#include "support/pictures.hpp"
#include "support/temp_dir.hpp"
#include "support/tolerance.hpp"

using namespace sdtorch;

namespace {

std::string prompt_model(const std::string& name) {
  return golden_path((name == "xl" ? "families/models/" : "pipeline/models/") + name).string();
}

Request prompted(const std::string& prompt, const std::string& negative = "") {
  return {.prompt = prompt, .negative_prompt = negative, .steps = 3, .cfg_scale = 5, .sampler = "euler"};
}

CheckedRequest checked(const Request& request, const std::string& model = "sd1") {
  return Pipeline::check({.model = prompt_model(model), .device = "cpu", .dtype = "fp32"}).check(request);
}

ResolvedRequest resolved(const Request& request, const std::string& model = "sd1") {
  return resolve(describe_model(prompt_model(model), ""), request);
}

}  // namespace

TEST_CASE("prompts with weights, schedules and AND draw what the tools' rules draw", "[pipeline]") {
  std::map<std::string, PipelineNetworks> models;
  check_golden_pictures("prompt_pictures", [&](const nlohmann::json& one) -> const PipelineNetworks& {
    const std::string name = one.at("model");
    if (!models.contains(name)) models.emplace(name, networks_of(describe_model(prompt_model(name), "")));
    return models.at(name);
  });
}

TEST_CASE("as in diffusers brackets are text, and the negative prompt skips no layer", "[pipeline]") {
  const auto golden = load_golden("prompt_pictures/compat");
  const auto cases = nlohmann::json::parse(golden_metadata("prompt_pictures/compat").at("cases"));
  for (size_t i = 0; i < cases.size(); ++i) {
    const std::string name = cases[i].at("model");
    INFO(name);
    Request request = prompted("a (red:1.4) house", "blurry");
    request.steps = 4;
    request.cfg_scale = 4;
    request.seed = 31;
    request.clip_skip = 2;
    request.compat = "diffusers";
    at::Tensor latent;
    const PipelineNetworks networks = networks_of(describe_model(prompt_model(name), ""));
    draw_tensors(networks, request, 1, {.on_tensor = [&](std::string_view key, const at::Tensor& tensor) {
                   if (key == "latent") latent = tensor.clone();
                 }});
    CHECK(relative_error(latent, golden.at(fmt::format("{:03}.latent", i))) < tolerance::tensor_relative);
  }
}

TEST_CASE("every golden of prompts is of a picture that their grammar changes", "[pipeline]") {
  std::map<std::string, PipelineNetworks> models;
  const auto expected = load_golden("prompt_pictures/pictures");
  const auto cases = nlohmann::json::parse(golden_metadata("prompt_pictures/pictures").at("cases"));
  for (size_t i = 0; i < cases.size(); ++i) {
    INFO(cases[i].dump());
    nlohmann::json request = cases[i];
    const std::string name = request.at("model");
    if (!models.contains(name)) models.emplace(name, networks_of(describe_model(prompt_model(name), "")));
    if (request.value("prompt-weighting", "") == "none" || request.value("prompt-syntax", "") == "plain") continue;
    for (const char* key : {"model", "clip-skip", "prompt-weighting", "prompt-chunks", "compat"}) request.erase(key);
    request["prompt-syntax"] = "plain";
    const at::Tensor plain = draw_json(models.at(name), request).latents;
    CHECK(relative_error(plain, expected.at(fmt::format("{:03}.latent", i))) > 0.002);
  }
}

TEST_CASE("A1111's weights restore the mean of each chunk, but for one near 0", "[pipeline]") {
  const auto golden = load_golden("prompt_pictures/weights");
  const EncodedRows rows{.hidden = golden.at("hidden"), .weights = golden.at("weights")};
  const Tokenizer none;
  const at::Tensor weighted = weighted_hidden(rows, {}, {}, none, PromptWeighting::a1111);
  CHECK(relative_error(weighted, golden.at("expected")) < tolerance::tensor_relative);
  CHECK(weighted[3].equal(golden.at("hidden")[3]));  // all of its weights are 1
}

TEST_CASE("pictures of a batch have prompts of any shape, each as it would be alone", "[pipeline]") {
  const std::string long_text(100, 'x');
  std::vector<Request> batch{prompted("a (red:1.3) house"),
                             prompted("a house AND green hills:0.5 AND night", "grey"),
                             prompted("[a|b] [house:hills:2]", "[grey:blurry:1]"),
                             prompted("night AND " + long_text),
                             prompted(long_text + " BREAK night"),
                             prompted("a house:1.4")};
  for (const char* model : {"sd1", "xl"}) {
    const Pipeline pipeline = Pipeline::open({.model = prompt_model(model), .device = "cpu", .dtype = "fp32"});
    for (const double scale : {5.0, 1.0}) {
      INFO(model << " " << scale);
      for (size_t i = 0; i < batch.size(); ++i) {
        batch[i].cfg_scale = scale;
        batch[i].seed = i;
        CHECK(can_share_batch(batch[0], batch[i]));
      }
      const std::vector<Picture> together = pipeline.draw(batch);
      for (size_t i = 0; i < batch.size(); ++i) {
        INFO(batch[i].prompt);
        CHECK(largest_difference(together[i].image, pipeline.draw(batch[i]).image) <= 1);
      }
    }
  }
}

TEST_CASE("a schedule's texts are encoded once, and unchanging ones are one condition", "[pipeline]") {
  const PipelineNetworks networks = networks_of(describe_model(prompt_model("sd1"), ""));
  TextMemory memory;
  Request request = prompted("[a|b] house");
  request.steps = 9;
  const ResolvedRequest picture = resolved(request);
  const TextConditions text = encode_prompts(networks.model, memory, picture.request, picture.prompts, *picture.words);
  const TextTimeline& timeline = text.parts.front().timeline;
  REQUIRE(timeline.texts.size() == 9);
  CHECK(timeline.texts[2].context.is_same(timeline.texts[0].context));
  CHECK_FALSE(timeline.texts[1].context.is_same(timeline.texts[0].context));
}

TEST_CASE("schedules count calls, and go on in a second pass", "[pipeline]") {
  Request request = prompted("[a:b:0.5] [c:d:5] [e:f:1.5]");
  const auto ends = [](const ResolvedPrompts& prompts) {
    std::vector<int64_t> last_calls;
    for (const PromptVersion& version : prompts.prompt.parts.front().versions) last_calls.push_back(version.last_call);
    return last_calls;
  };
  using Ends = std::vector<int64_t>;
  request.steps = 4;
  CHECK(ends(resolved(request).prompts) == Ends{2, 4});
  request.sampler = "heun";
  CHECK(ends(resolved(request).prompts) == Ends{4, 5, 8});
  request.sampler = "euler";
  request.hires_scale = 1.5;
  request.hires_steps = 6;
  const ResolvedRequest twice = resolved(request);
  CHECK(ends(twice.prompts) == Ends{2, 4});
  CHECK(ends(twice.hires->prompts) == Ends{1, 3, 6});
}

TEST_CASE("a tool's name sets how prompts are read, and flags stand above it", "[pipeline]") {
  const auto rules = [](const Request& request) { return prompt_rules_of(request); };
  CHECK(rules({}).syntax == PromptSyntax::a1111);
  CHECK(rules({}).weighting == PromptWeighting::a1111);
  CHECK(rules({}).chunks == ChunkRule::plain);
  CHECK_FALSE(rules({}).sides_apart);
  CHECK(rules({.compat = "a1111"}).chunks == ChunkRule::a1111);
  CHECK(rules({.compat = "a1111"}).sides_apart);
  CHECK(rules({.compat = "comfy"}).syntax == PromptSyntax::comfy);
  CHECK(rules({.compat = "comfy"}).weighting == PromptWeighting::comfy);
  CHECK(rules({.compat = "comfy"}).chunks == ChunkRule::comfy);
  CHECK(rules({.compat = "diffusers"}).syntax == PromptSyntax::plain);
  CHECK(rules({.compat = "diffusers"}).weighting == PromptWeighting::none);
  CHECK_FALSE(rules({.compat = "sdcpp"}).scheduled);
  CHECK(rules({.compat = "diffusers", .prompt_syntax = "compel"}).weighting == PromptWeighting::compel);
  CHECK(rules({.compat = "comfy", .prompt_syntax = "a1111"}).weighting == PromptWeighting::comfy);
  CHECK(rules({.prompt_syntax = "compel"}).chunks == ChunkRule::compel);
  CHECK(rules({.compat = "diffusers", .prompt_syntax = "compel"}).negative_skips);
  CHECK_FALSE(rules({.compat = "diffusers"}).negative_skips);
  CHECK(rules({.prompt_syntax = "comfy", .prompt_weighting = "none"}).weighting == PromptWeighting::none);
  CHECK(rules({.compat = "a1111", .prompt_chunks = "plain"}).chunks == ChunkRule::plain);
}

TEST_CASE("clip skip counts as each tool counts", "[pipeline]") {
  const auto skipped = [](const char* compat, int64_t clip_skip, bool penultimate, bool negative = false) {
    Request request{.clip_skip = clip_skip};
    if (*compat) request.compat = compat;
    return skipped_layers(prompt_rules_of(request), penultimate, negative);
  };
  for (const char* compat : {"", "a1111", "comfy", "diffusers", "sdcpp"}) {
    INFO(compat);
    CHECK(skipped(compat, 1, false) == 0);
    CHECK(skipped(compat, 2, false) == 1);
    CHECK(skipped(compat, 2, false, true) == (std::string(compat) == "diffusers" ? 0 : 1));
    const bool further = std::string(compat).empty() || std::string(compat) == "diffusers";
    CHECK(skipped(compat, 2, true) == (further ? 1 : 0));
  }
  CHECK(skipped("a1111", 5, true) == 0);
  CHECK(skipped("comfy", 3, true) == 1);
  CHECK(skipped("comfy", 1, true) == -1);
  CHECK(skipped_layers(prompt_rules_of({.compat = "comfy"}), true, false) == 0);
}

TEST_CASE("prompts that cannot be drawn are refused before anything is", "[pipeline]") {
  check_error(ErrorKind::input, "--prompt: column 6: the weight", [] { checked(prompted("a (b:1.1.1)")); });
  check_error(ErrorKind::input, "--negative-prompt: column 4", [] { checked(prompted("a", "(b:..)")); });
  const auto refused = [](const std::string& message, auto change, const std::string& model = "sd1") {
    Request request = prompted("a AND b");
    change(request);
    INFO(message);
    check_error(ErrorKind::usage, message, [&] { checked(request, model); });
  };
  refused("--pag-scale", [](Request& r) { r.pag_scale = 2; });
  refused("--tgate", [](Request& r) { r.tgate = 2; });
  refused("--prompt-syntax: 'foo' is not a choice", [](Request& r) { r.prompt_syntax = "foo"; });
  refused("--prompt-weighting", [](Request& r) { r.prompt_weighting = "foo"; });
  refused("--prompt-chunks", [](Request& r) { r.prompt_chunks = "foo"; });
  refused("--clip-skip: 4 is too much for text_encoder", [](Request& r) { r.clip_skip = 4; });
  refused(
      "--clip-skip", [](Request& r) { r.clip_skip = 4; }, "xl");
  refused(
      "--clip-skip: 1 is the last layer", [](Request& r) { r.clip_skip = 1, r.compat = "comfy"; }, "sd2");
  refused("--style: there is no table", [](Request& r) { r.style = {"x"}; });
  CHECK_NOTHROW(checked([] {
    Request r = prompted("a AND b");
    r.prompt_syntax = "plain", r.tgate = 2;
    return r;
  }()));
}

TEST_CASE("styles are put into the prompts, which then say all", "[pipeline]") {
  const TempDir folder;
  write_file(folder / "styles.csv",
             "name,prompt,negative_prompt\nOil,oil painting of {prompt},photo\nNight,by night,\n");
  Request request{
      .prompt = "a house", .steps = 2, .styles = (folder / "styles.csv").string(), .style = {"Oil", "Night"}};
  const Request drawn = checked(request).request;
  CHECK(drawn.prompt == "oil painting of a house, by night");
  CHECK(drawn.negative_prompt == "photo");
  CHECK(drawn.style.empty());
  CHECK(drawn.styles.empty());
  request.style = {"Oli"};
  check_error(ErrorKind::usage, "--style: 'Oli' is not in the table; did you mean Oil?", [&] { checked(request); });
  request.styles = (folder / "none.csv").string();
  check_error(ErrorKind::input, "none.csv", [&] { checked(request); });
  request.style.clear();
  CHECK(checked(request).request.prompt == "a house");
}

TEST_CASE("odd prompts are drawn, and said", "[pipeline]") {
  const auto warning = [](const Request& request, const std::string& model = "sd1") {
    std::string all;
    for (const std::string& line : checked(request, model).warnings) all += line + "\n";
    return all;
  };
  CHECK(warning(prompted("a (house")).find("--prompt: column 3: '(' is not closed") != std::string::npos);
  CHECK(warning(prompted("a", "b]")).find("--negative-prompt: column 2") != std::string::npos);
  CHECK(warning(prompted("a 16:9")).find("weight of the whole prompt") != std::string::npos);
  CHECK(warning(prompted("a [b:c:2] \\(d\\) AND e:0.5")).empty());
  Request skipping = prompted("a");
  skipping.clip_skip = 2;
  CHECK(warning(skipping, "xl").empty());
  skipping.compat = "a1111";
  CHECK(warning(skipping, "xl").find("--clip-skip changes nothing") != std::string::npos);
  CHECK(warning(skipping, "sd2").find("--clip-skip changes nothing: A1111 takes SD2's own layer") != std::string::npos);
  CHECK(warning(skipping).empty());
}

TEST_CASE("columns count the tags that are taken out before a prompt is read", "[pipeline]") {
  Request request{.prompt = "<lora:é:1>x(y", .negative_prompt = "<a:b> c]"};
  const auto prompts = [&] {
    std::vector<std::string> warnings;
    resolve_prompts(describe_model(prompt_model("sd1"), ""), request, {.calls = 2}, warnings);
    return warnings;
  };
  REQUIRE(prompts().size() == 2);
  CHECK(prompts()[0].starts_with("--prompt: column 12: '(' is not closed"));
  CHECK(prompts()[1].starts_with("--negative-prompt: column 8: ']' closes nothing"));
  request.prompt = "(a<lora:é:1>:1.1.1) <lora:b:1>";
  check_error(ErrorKind::input, "--prompt: column 14: the weight", prompts);
  request.prompt = "<lora:é:1> x\xff";
  check_error(ErrorKind::input, "--prompt: offset 13: not valid UTF-8", prompts);
  request.prompt_syntax = "plain", request.prompt = "<lora:é:1> \xff";
  check_error(ErrorKind::input, "--prompt: offset 12: not valid UTF-8", prompts);
}

TEST_CASE("SD2's own layer is the second from the end where a tool counts from there", "[pipeline]") {
  const PipelineNetworks networks = networks_of(describe_model(prompt_model("sd2"), ""));
  const auto context = [&](std::optional<std::string> compat, std::optional<int64_t> clip_skip) {
    Request request = prompted("a red house");
    request.steps = 1, request.compat = std::move(compat), request.clip_skip = clip_skip;
    at::Tensor seen;
    draw_tensors(networks, request, 1, {.on_tensor = [&](std::string_view key, const at::Tensor& tensor) {
                   if (key == "context") seen = tensor.clone();
                 }});
    return seen;
  };
  const at::Tensor own = context({}, {}), before = context({}, 2);
  CHECK_FALSE(at::equal(own, before));
  for (const char* compat : {"comfy", "sdcpp"}) {
    CHECK(at::equal(context(compat, 2), own));
    CHECK(at::equal(context(compat, 3), before));
  }
  CHECK(at::equal(context("a1111", 2), own));
  CHECK(at::equal(context("diffusers", 2), before));
}

TEST_CASE("tags are text where the tool takes them so", "[pipeline]") {
  const auto left = [](Request request) {
    request.prompt = "a <lora:b:1>", request.negative_prompt = "c <lora:d:1>";
    const Request bare = without_tags(request);
    return std::pair(bare.prompt, *bare.negative_prompt);
  };
  using Pair = std::pair<std::string, std::string>;
  const std::string prompt = "a <lora:b:1>", negative = "c <lora:d:1>";
  CHECK(left({}) == Pair("a ", "c "));
  CHECK(left({.compat = "a1111"}) == Pair("a ", negative));  // where A1111 does not look
  CHECK(left({.compat = "sdcpp"}) == Pair("a ", negative));
  CHECK(left({.compat = "comfy"}) == Pair(prompt, negative));
  CHECK(left({.compat = "diffusers"}) == Pair(prompt, negative));
  CHECK(left({.prompt_syntax = "comfy"}) == Pair(prompt, negative));
  CHECK(left({.compat = "comfy", .prompt_syntax = "a1111"}) == Pair("a ", "c "));
  Request warned{.prompt = "a", .negative_prompt = negative};
  CHECK(warnings_of_tags(warned).size() == 1);
  warned.compat = "a1111";
  CHECK(warnings_of_tags(warned).empty());
}

TEST_CASE("a second pass's prompt errors count the tags, too", "[pipeline]") {
  Request request = prompted("<foo:b:1> (a:1.1.1)");
  request.hires_scale = 1.5;
  check_error(ErrorKind::input, "--prompt: column 14", [&] { checked(request); });
}
