#include "jobs/run_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "core/error.hpp"
#include "core/log.hpp"
#include "io/mapped_file.hpp"
#include "io/sha256.hpp"
#include "jobs/file_fingerprints.hpp"
#include "jobs/output_folder.hpp"
#include "jobs/output_names.hpp"
#include "jobs/request_facts.hpp"
#include "pipeline/compat.hpp"
#include "pipeline/dealt_seeds.hpp"
#include "pipeline/metadata.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;

fs::path in_folder(const fs::path& folder, const std::string& name) {
  return (folder.empty() ? fs::path(".") : folder) / name;
}

/// The facts of a picture of ours; nothing where it tells none.
std::optional<nlohmann::json> facts_of_picture(const fs::path& png) {
  try {
    if (!is_picture_of_ours(png)) return std::nullopt;
    return request_facts(settings_from_picture(png));
  } catch (const Error&) {
    return std::nullopt;
  }
}

/// What tells a user why two requests are not the same.
std::string request_difference(const RunRecord& before, const RunRecord& now, const JournalContent& known,
                               const fs::path& folder) {
  const size_t shared = std::min(before.requests.size(), now.requests.size());
  size_t at = 0;
  while (at < shared && before.requests[at] == now.requests[at]) ++at;
  if (at == shared) {
    return fmt::format("\n  pictures: {}, now {}", before.requests.size(), now.requests.size());
  }
  if (const std::string lines = differences(before.defaults, now.defaults); !lines.empty()) return lines;
  std::string text = fmt::format("\n  picture {} of {} is another than it was", at, now.requests.size());
  const auto drawn = known.pictures.find(before.first_index + static_cast<int64_t>(at));
  if (drawn == known.pictures.end()) return text;
  return text + fmt::format(" ({})", in_folder(folder, drawn->second.path).string());
}

bool is_there(const fs::path& folder, const PictureRecord& picture) {
  std::error_code error;
  return fs::file_size(in_folder(folder, picture.path), error) == picture.bytes && !error;
}

/// Pictures of the run that lie in the folder, complete, and that a kill kept from being recorded.
std::vector<PictureRecord> unrecorded(const RunPlan& plan, const JournalContent& known, const fs::path& folder) {
  std::multimap<std::string, int64_t> missing;  // numbers by request
  for (size_t number = 0; number < plan.wanted.size(); ++number) {
    if (plan.wanted[number]) missing.emplace(plan.run.requests[number], static_cast<int64_t>(number));
  }
  std::set<std::string> recorded;
  for (const auto& [index, picture] : known.pictures) recorded.insert(picture.path);
  const NameTemplate names(plan.run.name);
  std::vector<PictureRecord> found;
  for (const std::string& name : file_names(folder)) {
    if (missing.empty()) break;
    if (recorded.contains(name) || !name.ends_with(".png")) continue;
    const fs::path path = in_folder(folder, name);
    const auto facts = facts_of_picture(path);
    if (!facts) continue;
    const auto [first, last] = missing.equal_range(digest_of(*facts));
    const auto index = names.index_in(name);
    const auto its_own = std::find_if(
        first, last, [&](const auto& one) { return !index || *index == plan.run.first_index + one.second; });
    if (its_own == last) continue;
    const MappedFile file(path, ErrorKind::output);
    found.push_back({.index = plan.run.first_index + its_own->second,
                     .path = name,
                     .sha256 = sha256(file.bytes()),
                     .bytes = file.bytes().size(),
                     .request = its_own->first});
    missing.erase(its_own);
  }
  return found;
}

/// Takes what is there off what is wanted.
void leave_done(RunPlan& plan, const JournalContent& known, const fs::path& folder) {
  size_t gone = 0;
  for (size_t number = 0; number < plan.wanted.size(); ++number) {
    const auto done = known.pictures.find(plan.run.first_index + static_cast<int64_t>(number));
    if (done == known.pictures.end() || done->second.request != plan.run.requests[number]) continue;
    const bool there = is_there(folder, done->second);
    if (there) plan.wanted[number] = false;
    gone += !there;
  }
  if (gone > 0)
    log_warning(fmt::format("{} pictures of the journal are not in the folder: they are drawn again", gone));
  plan.found = unrecorded(plan, known, folder);
  for (const PictureRecord& picture : plan.found) {
    plan.wanted[static_cast<size_t>(picture.index - plan.run.first_index)] = false;
  }
}

}  // namespace

bool continues(const RunRecord& before, const RunRecord& now) {
  return before.settings == now.settings && before.files == now.files && before.name == now.name &&
         before.requests.size() <= now.requests.size() &&
         std::equal(before.requests.begin(), before.requests.end(), now.requests.begin());
}

std::string run_difference(const RunRecord& before, const RunRecord& now, const JournalContent& known,
                           const fs::path& folder) {
  std::string lines = differences(before.settings, now.settings) + differences(before.files, now.files);
  if (before.name != now.name) lines += fmt::format("\n  name: {}, now {}", before.name, now.name);
  if (before.requests != now.requests) lines += request_difference(before, now, known, folder);
  return lines;
}

RunRecord record_of(CheckedModels& models, const std::vector<Job>& jobs, const RunOptions& options) {
  RunRecord run{.prompt_file = fs::path(options.prompt_file).filename().string(),
                .model = jobs.front().choice.model,
                .name = options.output.name.empty() ? std::string(default_name_template) : options.output.name,
                .settings = run_facts(models.get(jobs.front().choice).choice()),
                .defaults = request_facts(options.defaults),
                .files = fingerprints_of(jobs)};
  run.seeds_from = start_of_dealt_seeds();
  run.defaults["batch-count"] = options.defaults.batch_count;
  for (const Job& job : jobs) {
    const Request whole = models.get(job.choice).check(job.request).request;
    for (int64_t image = 0; image < job.batch_count; ++image) {
      Settings picture{job.choice, whole};
      move_to_picture(picture, image, job.batch_count);
      run.requests.push_back(digest_of(request_facts(picture)));
    }
  }
  return run;
}

RunPlan plan_run(RunRecord run, const JournalContent& known, const RunOptions& options) {
  RunPlan plan{.run = std::move(run)};
  const size_t pictures = plan.run.requests.size();
  plan.wanted.assign(pictures, true);
  const bool resume = options.resume || options.shard;
  const fs::path& folder = options.output.outdir;
  const auto before = std::find_if(known.runs.rbegin(), known.runs.rend(),
                                   [&](const RunRecord& one) { return continues(one, plan.run); });
  if (resume && before != known.runs.rend()) {
    plan.run.first_index = before->first_index;
    leave_done(plan, known, folder);
  } else if (resume && !known.runs.empty()) {
    refuse("--resume",
           fmt::format("{} holds another run:{}", folder.empty() ? "the folder" : folder.string(),
                       run_difference(known.runs.back(), plan.run, known, folder)),
           "give what it was begun with, or another --outdir");
  } else if (!options.shard) {
    plan.run.first_index = next_index(folder, NameTemplate(plan.run.name));
    if (!known.pictures.empty()) {
      plan.run.first_index = std::max(plan.run.first_index, known.pictures.rbegin()->first + 1);
    }
    for (const RunRecord& other : known.runs) {
      const int64_t after = other.first_index + static_cast<int64_t>(other.requests.size());
      plan.run.first_index = std::max(plan.run.first_index, after);
    }
  } else {
    leave_done(plan, known, folder);
  }
  if (options.shard) {
    for (size_t number = 0; number < pictures; ++number) {
      if (!options.shard->has(static_cast<int64_t>(number))) plan.wanted[number] = false;
    }
    std::erase_if(plan.found, [&](const PictureRecord& picture) {
      return !options.shard->has(picture.index - plan.run.first_index);
    });
  }
  return plan;
}

}  // namespace sdtorch
