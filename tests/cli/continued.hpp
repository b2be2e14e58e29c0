// Runs that are gone on with, over a prompt file and a tiny model.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "jobs/journal.hpp"
#include "support/files.hpp"
#include "support/golden.hpp"
#include "support/process.hpp"
#include "support/temp_dir.hpp"

/// Runs over prompts.txt in a folder of their own.
struct Continued {
  explicit Continued(const std::string& prompts) { write_file(folder / "prompts.txt", prompts); }

  ProcessResult run(std::vector<std::string> more, const std::string& outdir = "out",
                    const std::string& prompt_file = "prompts.txt") const {
    std::vector<std::string> arguments = {"-m",   model,         "--from-file", prompt_file, "--outdir",
                                          outdir, "--cfg-scale", "1",           "--steps",   "1",
                                          "-W",   "64",          "-H",          "64"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_sdtorch(arguments, {.folder = folder.path()});
  }

  int verify(std::vector<std::string> more = {}, const std::string& outdir = "out") const {
    std::vector<std::string> arguments = {"verify", outdir};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_sdtorch(arguments, {.folder = folder.path()}).exit_code;
  }

  void add(const std::string& line) const { std::ofstream(folder / "prompts.txt", std::ios::app) << line << "\n"; }

  /// Of the pictures and the journal.
  std::map<std::string, std::string> contents(const std::string& outdir = "out") const {
    std::map<std::string, std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(folder / outdir)) {
      found[entry.path().filename().string()] = file_contents(entry.path());
    }
    return found;
  }

  /// Undoes the run's last pictures, as a kill before them would have.
  void take_back(size_t pictures, const std::string& outdir = "out") const {
    sdtorch::JournalContent known = sdtorch::read_journal(folder / outdir / sdtorch::journal_name);
    for (; pictures > 0; --pictures) {
      const auto last = std::prev(known.pictures.end());
      std::filesystem::remove(folder / outdir / last->second.path);
      known.pictures.erase(last);
    }
    write_file(folder / outdir / sdtorch::journal_name, sdtorch::journal_text(known));
  }

  const TempDir folder{};
  std::string model = golden_path("pipeline/models/sd1").string();
};
