#include "jobs/drawn_seeds.hpp"

#include <filesystem>
#include <optional>

#include "jobs/journal.hpp"
#include "pipeline/dealt_seeds.hpp"

namespace sdtorch {
namespace {

/// The last run that a folder's journals tell of.
std::optional<RunRecord> last_run(const std::filesystem::path& folder) {
  std::error_code error;
  if (!std::filesystem::is_directory(folder.empty() ? "." : folder, error)) return std::nullopt;
  JournalContent known;
  for (const std::filesystem::path& file : journals_in(folder)) add_journal(known, read_journal(file));
  if (known.runs.empty()) return std::nullopt;
  return known.runs.back();
}

}  // namespace

void begin_drawn_seeds(RunOptions& options, bool seed_drawn) {
  if (options.prompt_file.empty()) return;
  std::optional<RunRecord> before;
  if (options.resume || options.shard) before = last_run(options.output.outdir);
  deal_seeds(before && before->seeds_from ? *before->seeds_from : draw_seed());
  if (!seed_drawn) return;
  if (before && before->defaults.contains("seed")) options.defaults.seed = before->defaults["seed"].get<uint64_t>();
}

}  // namespace sdtorch
