// Pictures drawn from pictures and in two passes, by the tool from outside.
#include <filesystem>
#include <nlohmann/json.hpp>

#include "io/read_picture.hpp"
#include "nn/int8.hpp"
#include "support/catch.hpp"
#include "support/files.hpp"
#include "support/golden.hpp"
#include "support/process.hpp"
#include "support/temp_dir.hpp"
#include "weights/state_dict.hpp"

namespace fs = std::filesystem;

namespace {

/// Runs the tool with the tiny model and two steps, and more arguments.
ProcessResult run_tiny(const TempDir& folder, std::vector<std::string> more) {
  std::vector<std::string> all{"-m",
                               golden_path("pipeline/models/sd1").string(),
                               "-p",
                               "x",
                               "--steps",
                               "2",
                               "--device",
                               "cpu",
                               "--deterministic"};
  all.insert(all.end(), more.begin(), more.end());
  return run_sdtorch(all, {.folder = folder.path()});
}

bool repeats(const TempDir& folder, const std::string& picture) {
  const ProcessResult again = run_sdtorch(
      {"--from-image", picture, "-o", "again.png", "--deterministic", "--device", "cpu"}, {.folder = folder.path()});
  INFO(again.err);
  REQUIRE(again.exit_code == 0);
  return file_contents(folder / "again.png") == file_contents(folder / picture);
}

}  // namespace

TEST_CASE("two passes are one run to whoever watches, and their metadata repeats them", "[cli]") {
  const TempDir folder;
  const ProcessResult run = run_tiny(folder, {"-W", "32", "-H", "24", "--hires-scale", "2", "--hires-steps", "3", "-o",
                                              "a.png", "--json", "--save-steps", "steps", "--dump", "d.safetensors"});
  INFO(run.err);
  REQUIRE(run.exit_code == 0);
  const auto result = nlohmann::json::parse(run.out);
  CHECK(result["width"] == 64);
  CHECK(result["height"] == 48);
  CHECK(fs::exists(folder / "steps" / "step-004.png"));
  CHECK_FALSE(fs::exists(folder / "steps" / "step-005.png"));
  CHECK(fs::exists(folder / "steps" / "steps.webp"));
  const sdtorch::StateDict dump = sdtorch::load_safetensors(folder / "d.safetensors");
  CHECK(dump.contains("first.latent"));
  CHECK(dump.contains("latent"));
  CHECK(repeats(folder, "a.png"));
}

TEST_CASE("an expanded picture's metadata repeats it while its input is there", "[cli]") {
  const TempDir folder;
  fs::copy_file(golden_path("inpainting/start.png"), folder / "start.png");
  const ProcessResult run =
      run_tiny(folder, {"-i", "start.png", "--expand", "0,0,9,0", "--keep-unmasked", "-o", "a.png", "--json"});
  INFO(run.err);
  REQUIRE(run.exit_code == 0);
  CHECK(nlohmann::json::parse(run.out)["width"] == 72);
  CHECK(run.err.find("--expand 0,0,9,0: start.png grows by 0,0,16,0, to 72 by 40 pixels, multiples of 8") !=
        std::string::npos);
  CHECK(repeats(folder, "a.png"));
  fs::copy_file(golden_path("inpainting/slope.png"), folder / "start.png", fs::copy_options::overwrite_existing);
  const ProcessResult changed = run_sdtorch({"--from-image", "a.png", "-o", "b.png"}, {.folder = folder.path()});
  CHECK(changed.exit_code == 5);
  CHECK(changed.err.find("start.png: is not the file that it was") != std::string::npos);
}

TEST_CASE("lines of a prompt file may have nets and classifiers of their own", "[cli]") {
  const TempDir folder;
  const std::string net = golden_path("control_nets/nets/net_a").string();
  const std::string hint = golden_path("control_nets/a.png").string();
  const std::string classifier = golden_path("guidance/classifier").string();
  const nlohmann::json steered = {
      {"prompt", "x"}, {"control-net", net}, {"control-image", {hint}}, {"width", 64}, {"height", 48}};
  const nlohmann::json led = {{"prompt", "x"},          {"classifier", classifier},  {"class", 2},
                              {"classifier-scale", 30}, {"cfg-interval", {0.5, 30}}, {"sampler", "ddim"}};
  write_file(folder / "p.jsonl", R"({"prompt": "x"})"
                                 "\n" +
                                     steered.dump() + "\n" + led.dump() + "\n");
  const std::string model = golden_path("pipeline/models/sd1").string();
  const auto run = [&](std::vector<std::string> more) {
    std::vector<std::string> all{"-m", model, "--steps", "2", "--device", "cpu", "--deterministic"};
    all.insert(all.end(), more.begin(), more.end());
    const ProcessResult result = run_sdtorch(all, {.folder = folder.path()});
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
  };
  run({"--from-file", "p.jsonl", "--outdir", "out", "--name", "{index}.png"});
  run({"-p", "x", "-o", "0.png"});
  run({"-p", "x", "--control-net", net, "--control-image", hint, "-W", "64", "-H", "48", "-o", "1.png"});
  run({"-p", "x", "--classifier", classifier, "--class", "2", "--classifier-scale", "30", "--cfg-interval", "0.5,30",
       "--sampler", "ddim", "-o", "2.png"});
  int drawn = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder / "out")) {
    if (entry.path().extension() != ".png") continue;  // the journal
    const auto expected = folder / (std::to_string(std::stoi(entry.path().stem().string())) + ".png");
    CHECK((sdtorch::read_picture(entry.path()).image == sdtorch::read_picture(expected).image));
    ++drawn;
  }
  CHECK(drawn == 3);
}

TEST_CASE("other nets than a picture's come with their own pictures and strengths", "[cli]") {
  const TempDir folder;
  const std::string first = golden_path("control_nets/nets/net_a").string();
  const std::string second = golden_path("control_nets/nets/net_b").string();
  const std::string a = golden_path("control_nets/a.png").string(), b = golden_path("control_nets/b.png").string();
  const ProcessResult two =
      run_tiny(folder, {"--control-net", first + "=" + a, "--control-net", second + "=" + b, "--control-mode", "prompt",
                        "--control-mode", "balanced", "-W", "64", "-H", "48", "-o", "two.png"});
  INFO(two.err);
  REQUIRE(two.exit_code == 0);
  const ProcessResult one =
      run_sdtorch({"--from-image", "two.png", "--control-net", first + "=" + a, "-o", "one.png", "--deterministic"},
                  {.folder = folder.path()});
  INFO(one.err);
  CHECK(one.exit_code == 0);
}

TEST_CASE("the metadata of a spared picture repeats it", "[cli]") {
  const TempDir folder;
  std::vector<std::string> flags{"--deep-cache", "2,1", "--tome", "0.5", "--tgate", "1", "-o", "a.png"};
  if (sdtorch::has_int8_products()) flags.insert(flags.begin(), {"--quantize", "int8"});
  const ProcessResult run = run_tiny(folder, flags);
  INFO(run.err);
  REQUIRE(run.exit_code == 0);
  CHECK(repeats(folder, "a.png"));
  const ProcessResult plain = run_tiny(folder, {"-o", "b.png"});
  REQUIRE(plain.exit_code == 0);
  CHECK_FALSE((sdtorch::read_picture(folder / "a.png").image == sdtorch::read_picture(folder / "b.png").image));
}
