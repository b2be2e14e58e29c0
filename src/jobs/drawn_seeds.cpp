#include "jobs/drawn_seeds.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <system_error>

#include "jobs/file_fingerprints.hpp"
#include "jobs/journal.hpp"
#include "pipeline/dealt_seeds.hpp"

namespace sdtorch {
namespace {

/// The prompt file's last run that a folder's journals tell of.
std::optional<RunRecord> last_run(const std::filesystem::path& folder, const std::string& prompt_file) {
  std::error_code error;
  if (!std::filesystem::is_directory(folder.empty() ? "." : folder, error)) return std::nullopt;
  const JournalContent known = read_journals(folder);
  const RunRecord* const run = last_run_of(known, prompt_file);
  return run ? std::optional(*run) : std::nullopt;
}

/// Shards begin at once, and must agree without having spoken: by what they all read. A pipe is another one each time.
uint64_t seed_of_file(const std::string& prompt_file) {
  constexpr int hexadecimal = 16;
  std::error_code error;
  const bool readable_twice = std::filesystem::is_regular_file(prompt_file, error);
  const std::string digits = readable_twice ? fingerprint(prompt_file) : "";
  return digits.empty() ? 0 : std::stoull(digits, nullptr, hexadecimal);
}

}  // namespace

void begin_drawn_seeds(RunOptions& options, bool seed_drawn) {
  if (options.prompt_file.empty()) return;
  std::optional<RunRecord> before;
  if (options.resume || options.shard) before = last_run(options.output.outdir, options.prompt_file);
  options.first_of_folder = options.resume && !options.shard && !before;
  const uint64_t first = options.shard ? seed_of_file(options.prompt_file) : draw_seed();
  deal_seeds(before && before->seeds_from ? *before->seeds_from : first);
  if (!seed_drawn) return;
  if (options.shard) options.defaults.seed = first;
  if (before && before->defaults.contains("seed")) options.defaults.seed = before->defaults["seed"].get<uint64_t>();
}

}  // namespace sdtorch
