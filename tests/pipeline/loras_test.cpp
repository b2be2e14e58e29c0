// LoRAs as requests name them: flags, tags, folders, and what pictures say of them.
#include "pipeline/loras.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <span>

#include "io/add_on_files.hpp"
#include "io/sha256.hpp"
#include "pipeline/metadata.hpp"
#include "pipeline/prompt_tags.hpp"
#include "pipeline/resolve.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/families.hpp"
#include "support/files.hpp"
#include "support/golden.hpp"
#include "support/temp_dir.hpp"

using namespace sdtorch;

namespace {

namespace fs = std::filesystem;

/// A safetensors file without tensors.
std::string empty_weights(const std::string& metadata = "{}") {
  const std::string header = R"({"__metadata__":)" + metadata + "}";
  std::string length(8, '\0');
  length[0] = static_cast<char>(header.size());
  return length + header;
}

const AddOnQuery query{.asked_by = "--prompt", .kind = "LoRA", .dir_flag = "--lora-dir"};

}  // namespace

TEST_CASE("a name is that of a file in the folder or below it", "[pipeline][adapters]") {
  const TempDir dir;
  for (const char* name : {"one.safetensors", "sub/two.pt", "sub/deep/v1.5.safetensors", "notes.txt",
                           "twin.safetensors", "sub/twin.safetensors", "pair.pt", "pair.safetensors"}) {
    write_file(dir / name, empty_weights());
  }
  write_file(dir / "renamed.safetensors", empty_weights(R"({"ss_output_name":"as trained"})"));
  fs::create_directory_symlink(dir.path(), dir / "sub/back");
  const auto find = [&](const std::string& name) { return find_add_on(dir.path(), name, query); };
  CHECK(find("one") == dir / "one.safetensors");
  CHECK(find("one.safetensors") == dir / "one.safetensors");
  CHECK(find("two") == dir / "sub/two.pt");
  CHECK(find("sub/two") == dir / "sub/two.pt");
  CHECK(find("v1.5") == dir / "sub/deep/v1.5.safetensors");
  CHECK(find("deep/v1.5") == dir / "sub/deep/v1.5.safetensors");
  CHECK(find("./twin") == dir / "twin.safetensors");
  CHECK(find("sub/twin") == dir / "sub/twin.safetensors");
  CHECK(find("pair.pt") == dir / "pair.pt");
  CHECK(find("as trained") == dir / "renamed.safetensors");
  const auto check_refused = [&](const std::string& name, const std::string& fragment) {
    check_error(ErrorKind::usage, fragment, [&] { find(name); });
  };
  check_refused("twin", "'twin' may be 2 files: sub/twin.safetensors, twin.safetensors; say more of its path");
  check_refused("pair", "'pair' may be 2 files: pair.pt, pair.safetensors");
  check_refused("ohne", "there is no LoRA 'ohne'");
  check_refused("ohne", "did you mean one?");
  check_refused("wo", "v1.5");
  check_refused("../one", "there is no LoRA '../one'");
  check_refused("", "names no LoRA");
  check_error(ErrorKind::usage, "give --lora-dir DIR", [] { find_add_on("", "one", query); });
  check_error(ErrorKind::usage, "no such folder", [&] { find_add_on(dir / "none", "one", query); });
}

TEST_CASE("a flag has the U-Net's weight first, a tag the text encoder's", "[pipeline][adapters]") {
  const TempDir dir;
  for (const char* name : {"a.safetensors", "b:1.safetensors"}) write_file(dir / name, empty_weights());
  const auto weights = [&](const Request& request) {
    const NamedLora lora = named_loras(request, dir.path().string()).at(0);
    return std::pair(lora.unet.at(0, 1), lora.text_encoder.at(0, 1));
  };
  using Pair = std::pair<double, double>;
  const auto of_flag = [&](const std::string& rest) {
    return weights({.lora = {(dir / "a.safetensors").string() + rest}});
  };
  const auto of_tag = [&](const std::string& rest) { return weights({.prompt = "x <lora:a" + rest + "> y"}); };
  CHECK(of_flag("") == Pair(1, 1));
  CHECK(of_flag(":0.5") == Pair(0.5, 0.5));
  CHECK(of_flag(":0.5:-2") == Pair(0.5, -2));
  CHECK(of_tag("") == Pair(1, 1));
  CHECK(of_tag(":0.5") == Pair(0.5, 0.5));
  CHECK(of_tag(":0.5:-2") == Pair(-2, 0.5));
  CHECK(of_tag(":te=0.5:unet=2") == Pair(2, 0.5));
  CHECK(of_tag(":te=0.5") == Pair(0.5, 0.5));
  CHECK(of_tag(":0.25:unet=2") == Pair(2, 0.25));
  CHECK(weights({.prompt = "<lyco:a:0.5>"}) == Pair(0.5, 0.5));
  CHECK(weights({.lora = {"a:0.5"}}) == Pair(0.5, 0.5));  // by its name in the folder
  CHECK(split_weights((dir / "b:1.safetensors").string()).weights.empty());
  CHECK(split_weights((dir / "b:1.safetensors").string() + ":2").weights == std::vector<std::string>{"2"});
  CHECK(named_loras({.prompt = "<lora:a:1>", .prompt_syntax = "plain"}, dir.path().string()).empty());
  CHECK(named_loras({.prompt = "<lora:a:1>", .compat = "diffusers"}, dir.path().string()).empty());
}

TEST_CASE("LoRAs that cannot be put on a model are refused before anything is drawn", "[pipeline][adapters]") {
  const TempDir dir;
  write_file(dir / "a.safetensors", empty_weights());
  const std::string a = (dir / "a.safetensors").string();
  const auto check_refused = [&](const Request& request, const std::string& fragment) {
    check_error(ErrorKind::usage, fragment, [&] { named_loras(request, dir.path().string()); });
  };
  check_refused({.lora = {(dir / "b.safetensors").string()}}, "b.safetensors: no such file; ");
  check_refused({.lora = {(dir / "b.safetensors").string()}}, "a.safetensors");
  check_refused({.lora = {a + ":much"}}, "'much' is no weight");
  check_refused({.lora = {a + ":"}}, "'' is no weight");
  check_refused({.lora = {a + ":0.2@0,0.8@2"}}, "'0.2@0,0.8@2' is no weight");
  check_refused({.lora = {":1"}}, "--lora");
  check_refused({.prompt = "<lora:a:much>"}, "--prompt: <lora:a:much>: 'much' is no weight");
  check_refused({.prompt = "<lora:a:1:1:8>"}, "has 3 values");
  check_refused({.prompt = "<lora:a:dyn=4>"}, "'dyn' is not known; te= and unet= are");
  check_refused({.prompt = "<lora:b:1>"}, "--prompt: <lora:b:1>: there is no LoRA 'b'");
  check_error(ErrorKind::usage, "give --lora-dir", [] { named_loras({.prompt = "<lora:b:1>"}, ""); });
}

TEST_CASE("a LoRA of another family and changing texts behind a gate are refused", "[pipeline][adapters]") {
  const ModelDescription sd1 = describe_family("sd1");
  check_error(ErrorKind::model, "xl_a.safetensors",
              [&] { resolve(sd1, {.prompt = "a", .lora = {golden_path("lora_pictures/xl_a.safetensors").string()}}); });
  const std::string a = golden_path("lora_pictures/sd1_a.safetensors").string();
  check_error(ErrorKind::usage, "--tgate",
              [&] { resolve(sd1, {.prompt = "a", .steps = 4, .lora = {a + ":0.2@0,0.8@0.5"}, .tgate = 2}); });
  CHECK(resolve(sd1, {.prompt = "a", .steps = 4, .lora = {a + ":0.2@0,0.8@0.5:1"}, .tgate = 2}).loras.size() == 1);
}

TEST_CASE("tags come out of both prompts, and those without effect are said", "[pipeline][adapters]") {
  const Request request{.prompt = "a <lora:a:1> b <foo:c>", .negative_prompt = "d <lora:e:1>"};
  CHECK(without_tags(request).prompt == "a  b ");
  CHECK(without_tags(request).negative_prompt == "d ");
  CHECK(tags_of(request).size() == 2);
  const std::vector<std::string> lines = warnings_of_tags(request);
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].starts_with("--prompt: <foo:c> is left out"));
  CHECK(lines[1].starts_with("--negative-prompt: <lora:e:1> is left out"));
  Request plain = request;
  plain.prompt_syntax = "plain";
  CHECK(without_tags(plain) == plain);
  CHECK(warnings_of_tags(plain).empty());
  CHECK_FALSE(without_tags({.prompt = "a"}).negative_prompt);
}

TEST_CASE("only pictures with the same LoRAs share a batch", "[pipeline][adapters]") {
  const auto share = [](const Request& a, const Request& b) { return can_share_batch(a, b); };
  CHECK(share({.prompt = "a <lora:x:1>"}, {.prompt = "<lora:x:1> b"}));
  CHECK_FALSE(share({.prompt = "a <lora:x:1>"}, {.prompt = "a <lora:x:0.5>"}));
  CHECK_FALSE(share({.prompt = "a <lora:x:1>"}, {.prompt = "a"}));
  CHECK_FALSE(share({.prompt = "a", .lora = {"x"}}, {.prompt = "a"}));
  CHECK(share({.prompt = "a", .lora = {"x"}}, {.prompt = "b", .lora = {"x"}}));
}

TEST_CASE("a picture says its LoRAs as A1111 does, and repeats from that", "[pipeline][adapters]") {
  const TempDir dir;
  const std::string tensors = R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  std::string length(8, '\0');
  length[0] = static_cast<char>(tensors.size());
  write_file(dir / "style.safetensors", length + tensors + "abcd");
  write_file(dir / "own.safetensors", empty_weights(R"({"sshs_model_hash":"0123456789abcdef"})"));
  const ModelChoice choice{.lora_dir = dir.path().string()};
  const Request request{
      .prompt = "a house <lora:own:0.5>",
      .lora = {(dir / "style.safetensors").string() + ":0.8:0.4", (dir / "own.safetensors").string()}};
  const std::string text = parameters_text(choice, {.request = request});
  CHECK(text.starts_with("a house <lora:own:0.5> <lora:style:0.4:0.8> <lora:own:1>\n"));
  const std::string hash = sha256(std::as_bytes(std::span("abcd", 4))).substr(0, 12);
  CHECK(text.find(fmt::format("Lora hashes: \"style: {}, own: 0123456789ab\"", hash)) != std::string::npos);
  const Settings read = parse_parameters(text, "test");
  CHECK(read.prompt == "a house <lora:own:0.5> <lora:style:0.4:0.8> <lora:own:1>");
  CHECK(named_loras(read, choice.lora_dir).size() == 3);
  CHECK(parameters_text({}, {.request = {.prompt = "a house"}}).find("Lora") == std::string::npos);
}
