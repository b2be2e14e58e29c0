// How a run's pictures are seen, by the tool from outside.
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "io/png_text.hpp"
#include "io/read_picture.hpp"
#include "support/catch.hpp"
#include "support/files.hpp"
#include "support/golden.hpp"
#include "support/process.hpp"
#include "support/temp_dir.hpp"

namespace fs = std::filesystem;

namespace {

ProcessResult see(const TempDir& folder, std::vector<std::string> more) {
  std::vector<std::string> all{
      "-m", golden_path("pipeline/models/sd1").string(), "-p", "a boat", "--steps", "2", "--device", "cpu"};
  all.insert(all.end(), more.begin(), more.end());
  return run_sdtorch(all, {.folder = folder.path()});
}

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("--json tells a run as events, and its results on stdout", "[cli]") {
  const TempDir folder;
  const ProcessResult run = see(folder, {"--json", "-b", "3", "--batch-size", "2", "--preview-every", "2"});
  INFO(run.err);
  REQUIRE(run.exit_code == 0);
  std::vector<std::string> names;
  std::istringstream lines(run.err);
  for (std::string line; std::getline(lines, line);) {
    names.push_back(nlohmann::json::parse(line)["event"].get<std::string>());
  }
  CHECK(names == std::vector<std::string>{"loading", "batch", "step", "step", "preview", "batch", "step", "step",
                                          "preview", "summary"});
  const ProcessResult quiet = see(folder, {"--json", "-q", "--preview-every", "1"});
  CHECK(quiet.exit_code == 0);
  CHECK(quiet.err == "");
  CHECK(nlohmann::json::parse(quiet.out)["event"] == "image");
}

TEST_CASE("a picture is the same, watched or not", "[cli]") {
  const TempDir folder;
  REQUIRE(see(folder, {"-o", "a.png", "--deterministic"}).exit_code == 0);
  REQUIRE(see(folder, {"-o", "b.png", "--deterministic", "--preview-every", "1", "--preview", "look.png", "--show",
                       "--grid", "g.png", "--html", "h.html"})
              .exit_code == 0);
  CHECK(file_contents(folder / "a.png") == file_contents(folder / "b.png"));
  for (const char* name : {"look.png", "g.png", "h.html"}) CHECK(fs::exists(folder / name));
  CHECK_FALSE(fs::exists(folder / "preview.png"));
}

TEST_CASE("--show draws where no terminal is, too, and stdout stays clean", "[cli]") {
  const TempDir folder;
  const ProcessResult blocks = see(folder, {"-o", "a.png", "--show", "-q"});
  CHECK(blocks.out == "a.png\n");
  CHECK(holds(blocks.err, "\033["));
  CHECK(holds(see(folder, {"-o", "a.png", "--show=kitty", "-q"}).err, "\033_G"));
  CHECK(holds(see(folder, {"-o", "a.png", "--show", "sixel", "-q"}).err, "\033P"));
  const ProcessResult unknown = see(folder, {"-o", "a.png", "--show", "sixels"});
  CHECK(unknown.exit_code == 2);
  CHECK(holds(unknown.err, "did you mean sixel?"));
}

TEST_CASE("sheet and page need no names", "[cli]") {
  const TempDir folder;
  const ProcessResult run = see(folder, {"--html", "-b", "2", "--outdir", "out", "--grid"});
  INFO(run.err);
  REQUIRE(run.exit_code == 0);
  CHECK(holds(run.err, "2 images in "));
  CHECK(holds(run.err, "out/grid.png\n"));
  CHECK(holds(run.err, "out/gallery.html\n"));
  CHECK(run.out == "out/00000-42-a-boat.png\nout/00001-43-a-boat.png\n");
  const std::string page = file_contents(folder / "out" / "gallery.html");
  CHECK(holds(page, "00001-43-a-boat.png"));
  CHECK(sdtorch::read_picture(folder / "out" / "grid.png").image.width > 2 * 64);

  const ProcessResult gallery = run_sdtorch({"gallery", "out", "-o", "g.html"}, {.folder = folder.path()});
  CHECK(gallery.exit_code == 0);
  CHECK(gallery.out == "g.html\n");
  const ProcessResult alone = run_sdtorch({"--html", "--outdir", "out"}, {.folder = folder.path()});
  CHECK(alone.exit_code == 0);
  CHECK(alone.out == "out/gallery.html\n");
}

TEST_CASE("places that cannot be are refused before anything is drawn", "[cli]") {
  const TempDir folder;
  const std::vector<std::pair<std::vector<std::string>, int>> cases = {
      {{"-o", "a.png", "--grid", "a.png"}, 2},
      {{"-o", "preview.png", "--preview-every", "1"}, 2},
      {{"--preview", "p.png"}, 2},
      {{"--preview-every", "0"}, 2},
      {{"--preview-every", "1", "--preview", "p.jpg"}, 2},
      {{"--grid", "g.jpg"}, 2},
      {{"--grid", "--batch-count", "1001"}, 2},
      {{"--html", "g.png"}, 2},
      {{"--html", "none/g.html"}, 6},
      {{"--grid", "none/g.png"}, 6},
      {{"--preview-every", "1", "--preview", "none/p.png"}, 6}};
  for (const auto& [flags, code] : cases) {
    const ProcessResult run = see(folder, flags);
    INFO(run.err);
    CHECK(run.exit_code == code);
    CHECK(fs::is_empty(folder.path()));
  }
  CHECK(run_sdtorch({"gallery"}, {.folder = folder.path()}).exit_code == 2);
  CHECK(run_sdtorch({"gallery", "none"}, {.folder = folder.path()}).exit_code == 5);
}
