#include "cli/hostile_files.hpp"

#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/process.hpp"
#include "support/temp_dir.hpp"
#include "weights/weights_file.hpp"

namespace fs = std::filesystem;

TEST_CASE("each hostile file is refused by name", "[cli]") {
  const TempDir folder;
  CHECK(hostile_files().size() >= 60);
  for (const HostileFile& file : hostile_files()) {
    INFO(file.name);
    write_file(folder / file.name, file.contents);
    check_error(sdtorch::ErrorKind::model, file.message, [&] { sdtorch::load_weights(folder / file.name); });
  }
  CHECK_FALSE(fs::exists("exploited"));
}

TEST_CASE("each hostile file ends the program with its message and code 4, soon and in little memory", "[cli][slow]") {
  const TempDir folder;
  const auto usual = run_sdtorch({"--version"}).peak_mb;
  for (const HostileFile& file : hostile_files()) {
    INFO(file.name);
    write_file(folder / "model" / file.name, file.contents);
    for (const auto& command : {std::vector<std::string>{"-p", "x", "--dry-run", "-m"}, {"inspect"}}) {
      std::vector<std::string> arguments = command;
      arguments.push_back("model/" + file.name);
      const ProcessResult run = run_sdtorch(arguments, {.folder = folder.path()});
      INFO(run.err);
      CHECK(run.exit_code == 4);
      CHECK(run.err.starts_with("error: model/" + file.name));
      CHECK(run.err.find(file.message) != std::string::npos);
      CHECK(run.err.find('\x1b') == std::string::npos);
      CHECK(run.out.empty());
      CHECK(run.seconds < 20);  // a second or two, on a machine that does nothing else
      CHECK(run.peak_mb < usual + 400);
    }
    fs::remove(folder / "model" / file.name);
  }
  CHECK(entries_in(folder.path()) == 1);
}
