// Pictures drawn from pictures and in two passes, by the tool from outside.
#include <filesystem>
#include <nlohmann/json.hpp>

#include "io/read_picture.hpp"
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
