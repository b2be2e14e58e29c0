#include "jobs/drawn_seeds.hpp"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <string>
#include <system_error>
#include <vector>

#include "jobs/file_fingerprints.hpp"
#include "jobs/journal.hpp"
#include "pipeline/dealt_seeds.hpp"

namespace sdtorch {
namespace {

bool is_complete(const RunRecord& run, const JournalContent& known) {
  for (int64_t i = 0; i < std::ssize(run.requests); ++i) {
    if (!known.pictures.contains(run.first_index + i)) return false;
  }
  return true;
}

/// The prompt file's runs, by its name, that a folder's journals tell of: the last first, those that lack a picture
/// before the others.
std::vector<RunRecord> earlier_runs(const std::filesystem::path& folder, const std::string& prompt_file) {
  std::error_code error;
  if (!std::filesystem::is_directory(folder.empty() ? "." : folder, error)) return {};
  const JournalContent known = read_journals(folder);
  const std::string name = std::filesystem::path(prompt_file).filename().string();
  std::vector<RunRecord> runs(known.runs.rbegin(), known.runs.rend());
  std::erase_if(runs, [&](const RunRecord& run) { return run.prompt_file != name; });
  std::ranges::stable_partition(runs, [&](const RunRecord& run) { return !is_complete(run, known); });
  return runs;
}

/// Shards begin at once, and must agree without having spoken: by what they all read. A pipe is another one each time.
uint64_t seed_of_file(const std::string& prompt_file) {
  constexpr int hexadecimal = 16;
  std::error_code error;
  const bool readable_twice = std::filesystem::is_regular_file(prompt_file, error);
  const std::string digits = readable_twice ? fingerprint(prompt_file) : "";
  return digits.empty() ? 0 : std::stoull(digits, nullptr, hexadecimal);
}

/// What a run's chance decides.
std::string chance_of(const RunRecord& run, const DrawnSeeds& drawn) {
  nlohmann::json chance = nlohmann::json::array();
  chance.push_back(run.seeds_from ? nlohmann::json(*run.seeds_from) : nlohmann::json());
  if (drawn.seed) chance.push_back(run.defaults.value("seed", nlohmann::json()));
  if (drawn.variation_seed) chance.push_back(run.defaults.value("variation-seed", nlohmann::json()));
  return chance.dump();
}

}  // namespace

void begin_drawn_seeds(RunOptions& options, std::set<std::string>& tried) {
  if (options.prompt_file.empty()) return;
  const DrawnSeeds drawn = options.drawn;
  std::vector<RunRecord> before;
  const bool goes_on = options.resume || options.shard;
  if (goes_on) before = earlier_runs(options.output.outdir, options.prompt_file);
  // Another process may begin it meanwhile, a share before a line was added; that is looked for once.
  const bool is_first = goes_on && before.empty() && tried.insert("").second;
  std::set<std::string> chances;
  std::erase_if(before, [&](const RunRecord& run) {
    const std::string chance = chance_of(run, drawn);
    return tried.contains(chance) || !chances.insert(chance).second;
  });
  options.may_have_other_seeds = is_first || before.size() > 1;
  const uint64_t first = options.shard ? seed_of_file(options.prompt_file) : draw_seed();
  const RunRecord run = before.empty() ? RunRecord{.defaults = nlohmann::json::object()} : before.front();
  if (!before.empty()) tried.insert(chance_of(run, drawn));
  deal_seeds(run.seeds_from.value_or(first));
  // The command line's own were drawn by each process; shards are to agree.
  uint64_t& seed = options.defaults.seed;
  std::optional<uint64_t>& variation = options.defaults.variation_seed;
  if (drawn.seed) seed = run.defaults.value("seed", options.shard ? first : seed);
  if (drawn.variation_seed) {
    variation = run.defaults.value("variation-seed", options.shard ? std::mt19937_64(first)() : *variation);
  }
}

}  // namespace sdtorch
