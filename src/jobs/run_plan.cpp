#include "jobs/run_plan.hpp"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string_view>

#include "core/error.hpp"
#include "core/interrupt.hpp"
#include "core/log.hpp"
#include "io/mapped_file.hpp"
#include "io/read_picture.hpp"
#include "io/sha256.hpp"
#include "jobs/drawn_seeds.hpp"
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
using nlohmann::json;

fs::path in_folder(const fs::path& folder, const std::string& name) {
  return (folder.empty() ? fs::path(".") : folder) / name;
}

/// The request of a picture that is there, if the run's model drew it; nothing where it tells none, or is torn.
std::optional<std::string> request_of(const MappedFile& png, const RunRecord& run) {
  try {
    const Settings settings = settings_from_own_picture(png.bytes(), png.path().string());
    if (!run.files.contains("model " + model_name(settings))) return std::nullopt;
    return digest_of(request_facts(settings));
  } catch (const Error&) {
    return std::nullopt;
  }
}

/// Whether a picture can be read to its end, and is not another than its file was recorded to be, if it was.
bool is_whole(const MappedFile& png, const JournalContent& known) {
  const auto recorded = known.sha256.find(png.path().filename().string());
  if (recorded != known.sha256.end() && recorded->second != sha256(png.bytes())) return false;
  try {
    read_picture(png.bytes(), png.path().string());
    return true;
  } catch (const Error&) {
    return false;
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

/// Whole, as it was written. Throws where that is not to be found out: a picture is not drawn again because a disk has
/// a bad moment.
bool is_there(const fs::path& folder, const PictureRecord& picture) {
  const fs::path path = in_folder(folder, picture.path);
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  const bool file = fs::is_regular_file(status);
  const uintmax_t bytes = file ? fs::file_size(path, error) : 0;
  const bool leads_to_itself = error == std::errc::too_many_symbolic_link_levels;
  if ((!fs::status_known(status) && !leads_to_itself) || (file && error)) {
    fail(ErrorKind::output, path, "", "cannot be looked at: " + error.message());
  }
  return file && bytes == picture.bytes && sha256(MappedFile(path, ErrorKind::output).bytes()) == picture.sha256;
}

/// Which of the pictures are there, read by all threads.
std::vector<char> are_there(const fs::path& folder, const std::vector<const PictureRecord*>& pictures) {
  std::vector<char> there(pictures.size());
  at::parallel_for(0, std::ssize(pictures), 1, [&](int64_t begin, int64_t end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      throw_if_interrupted();
      there[i] = is_there(folder, *pictures[i]);
    }
  });
  return there;
}

/// Whether a picture may be what bears a name. True where that is not to be found out.
bool may_be_picture(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  return error != std::errc::too_many_symbolic_link_levels &&
         (!fs::status_known(status) || fs::is_regular_file(status));
}

/// RunPlan::names of what the template makes.
std::vector<PictureNames> told_apart(const std::vector<std::string>& names) {
  std::map<std::string_view, int64_t> attempts;
  for (const std::string& name : names) attempts[name] = 0;
  std::vector<PictureNames> apart;
  apart.reserve(names.size());
  for (const std::string& name : names) {
    int64_t& attempt = attempts[name];
    std::string own = numbered(name, ++attempt);
    while (attempt > 1 && attempts.contains(own)) own = numbered(name, ++attempt);  // it is another prompt's name
    apart.push_back({.first = std::move(own)});
  }
  for (size_t i = 0; i < names.size(); ++i) apart[i].stride = attempts[names[i]];
  return apart;
}

/// Whose files' names are, where a run's pictures are told apart by them.
class NameOwners {
 public:
  /// made: what the template makes; must outlive this. planned: told_apart of it.
  NameOwners(const std::vector<std::string>& made, const std::vector<PictureNames>& planned) {
    for (size_t number = 0; number < made.size(); ++number) {
      const PictureNames& names = planned[number];
      strides_[made[number]] = names.stride;
      const int64_t attempt = attempt_of(names.first, made[number]).value_or(1);
      owners_[{made[number], attempt % names.stride}] = static_cast<int64_t>(number);
    }
  }

  /// The picture of this number may have taken the name.
  bool may_own(int64_t number, const std::string& name) const {
    return owner_of(name, name, 1) == number || owner_of(name, base_of(name), 2) == number;
  }

 private:
  /// Of `a-3.png`: `a.png`.
  static std::string base_of(const std::string& name) {
    const size_t dot = name.rfind('.'), dash = name.rfind('-');
    return dash == std::string::npos || dash > dot ? name : name.substr(0, dash) + name.substr(dot);
  }

  std::optional<int64_t> owner_of(const std::string& name, const std::string& made, int64_t least) const {
    const auto stride = strides_.find(made);
    const auto attempt = attempt_of(name, made);
    if (stride == strides_.end() || !attempt || *attempt < least) return std::nullopt;
    const auto owner = owners_.find({made, *attempt % stride->second});
    return owner == owners_.end() ? std::nullopt : std::optional(owner->second);
  }

  std::map<std::string_view, int64_t> strides_{};
  std::map<std::pair<std::string_view, int64_t>, int64_t> owners_{};
};

/// Pictures of the run that lie in the folder, complete, and that a kill kept from being recorded. Throws where one has
/// a missing picture's index and cannot be read.
std::vector<PictureRecord> unrecorded(const RunPlan& plan, const NameOwners& owners, const JournalContent& known,
                                      const RunOptions& options) {
  const fs::path& folder = options.output.outdir;
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
    if (recorded.contains(name) || !is_picture_name(name)) continue;
    const auto index = names.index_in(name);
    const auto is_its = [&](const auto& one) { return !index || *index == plan.run.first_index + one.second; };
    std::optional<MappedFile> file;
    try {
      file.emplace(in_folder(folder, name), ErrorKind::output);
    } catch (const Error&) {
      if (index && std::ranges::any_of(missing, is_its) && may_be_picture(in_folder(folder, name))) throw;
      continue;
    }
    const auto request = request_of(*file, plan.run);
    if (!request || !is_whole(*file, known)) continue;
    const auto [first, last] = missing.equal_range(*request);
    auto its_own = std::find_if(first, last, [&](const auto& one) { return owners.may_own(one.second, name); });
    if (its_own == last) {
      // Without an index it may be another shard's, which is about to record it.
      const auto is_elsewhere = [&](const auto& one) { return options.shard && !options.shard->has(one.second); };
      if (!index && std::any_of(first, last, is_elsewhere)) continue;
      its_own = std::find_if(first, last, is_its);
    }
    if (its_own == last) continue;
    found.push_back({.index = plan.run.first_index + its_own->second,
                     .path = name,
                     .sha256 = sha256(file->bytes()),
                     .bytes = file->bytes().size(),
                     .request = its_own->first});
    missing.erase(its_own);
  }
  return found;
}

/// A picture that is drawn again.
void keep_name(RunPlan& plan, const PictureRecord& picture) {
  plan.names.resize(plan.wanted.size());
  plan.names[static_cast<size_t>(picture.index - plan.run.first_index)].first = picture.path;
}

/// Takes what is there off what is wanted.
void leave_done(RunPlan& plan, const NameOwners& owners_of_names, const JournalContent& known,
                const RunOptions& options) {
  const std::map<std::string, int64_t> owners = owners_of_files(known);
  std::vector<const PictureRecord*> done;
  size_t gone = 0;
  for (size_t number = 0; number < plan.wanted.size(); ++number) {
    const auto found = known.pictures.find(plan.run.first_index + static_cast<int64_t>(number));
    if (found == known.pictures.end() || found->second.request != plan.run.requests[number]) continue;
    const bool owned = owners.at(found->second.path) == found->first;
    const bool others = options.shard && !options.shard->has(static_cast<int64_t>(number));
    if (owned && !others) done.push_back(&found->second);
    if (owned && others) plan.wanted[number] = false;  // it is theirs to look at
    gone += !owned && !others;
  }
  const std::vector<char> there = are_there(options.output.outdir, done);
  for (size_t i = 0; i < done.size(); ++i) {
    if (there[i]) plan.wanted[static_cast<size_t>(done[i]->index - plan.run.first_index)] = false;
    gone += !there[i];
    if (!there[i]) keep_name(plan, *done[i]);
  }
  if (gone > 0) {
    log_warning(fmt::format("{} of the journal {} not in the folder, or damaged",
                            gone == 1 ? "a picture" : fmt::format("{} pictures", gone), gone == 1 ? "is" : "are"));
  }
  plan.found = unrecorded(plan, owners_of_names, known, options);
  for (const PictureRecord& picture : plan.found) {
    plan.wanted[static_cast<size_t>(picture.index - plan.run.first_index)] = false;
  }
}

/// Takes up the run's pictures in a folder whose journals tell of no run; whether there are any.
bool take_up(RunPlan& plan, const NameOwners& owners, const JournalContent& known, const RunOptions& options) {
  RunPlan tried = plan;
  leave_done(tried, owners, known, options);
  if (std::ranges::count(tried.wanted, false) == 0) return false;
  plan = std::move(tried);
  return true;
}

/// Behind all pictures of a folder's runs.
int64_t index_after(const JournalContent& known) {
  int64_t after = known.pictures.empty() ? 0 : known.pictures.rbegin()->first + 1;
  for (const RunRecord& run : known.runs) after = std::max(after, run.first_index + std::ssize(run.requests));
  return after;
}

/// Whether one run's requests are the first of the other's, or all.
bool agree(const RunRecord& one, const RunRecord& other) {
  const auto shared = std::min(std::ssize(one.requests), std::ssize(other.requests));
  return std::equal(one.requests.begin(), one.requests.begin() + shared, other.requests.begin());
}

}  // namespace

const RunRecord& compared_with(const RunRecord& run, const JournalContent& known) {
  const auto likeness = [&](const RunRecord& one) {
    const bool same_seeds =
        one.seeds_from == run.seeds_from && one.defaults.value("seed", json()) == run.defaults.value("seed", json());
    return 2 * (one.prompt_file == run.prompt_file) + same_seeds;
  };
  return *std::max_element(known.runs.rbegin(), known.runs.rend(), [&](const RunRecord& one, const RunRecord& other) {
    return likeness(one) < likeness(other);
  });
}

bool has_run_of(const JournalContent& known, const std::string& prompt_file) {
  return std::ranges::any_of(known.runs, [&](const RunRecord& run) { return run.prompt_file == prompt_file; });
}

bool continues(const RunRecord& before, const RunRecord& now) {
  const auto is_there_still = [&](const auto& file) {
    const auto found = now.files.find(file.first);
    return found != now.files.end() && found->second == file.second;
  };
  return before.settings == now.settings && before.name == now.name &&
         std::ranges::all_of(before.files, is_there_still) &&  // requests that were added may name more
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

void add_pictures(CheckedPictures& pictures, const Job& job, const CheckedRequest& checked, const NameTemplate& names) {
  for (int64_t image = 0; image < job.batch_count; ++image) {
    Settings picture{job.choice, checked.request};
    move_to_picture(picture, image, job.batch_count);
    const auto number = static_cast<int64_t>(pictures.digests.size());
    std::string name = names.fill(number, {.request = picture, .sampler = checked.sampler}, job.choice);
    if (name.size() > longest_name) {
      refuse("--name", fmt::format("makes a name of {} bytes, and {} are the most", name.size(), longest_name));
    }
    pictures.digests.push_back(digest_of(request_facts(picture)));
    if (!names.tells_index()) pictures.names.push_back(std::move(name));
  }
}

RunRecord record_of(CheckedModels& models, const std::vector<Job>& jobs, const RunOptions& options,
                    std::vector<std::string> digests) {
  RunRecord run{.prompt_file = fs::path(options.prompt_file).filename().string(),
                .model = jobs.front().choice.model,
                .name = std::string(name_template_of(options.output)),
                .settings = run_facts(models.get(jobs.front().choice).choice()),
                .defaults = request_facts(options.defaults),
                .files = fingerprints_of(jobs),
                .requests = std::move(digests)};
  run.given = given_facts(options.defaults, options.expansion);
  run.seeds_from = start_of_dealt_seeds();
  run.defaults["batch-count"] = options.defaults.batch_count;
  return run;
}

namespace {

/// The run whose indices the pictures that were added to another would take; nullptr: none.
const RunRecord* in_the_way(const RunRecord& before, const RunRecord& now, const JournalContent& known) {
  const int64_t added = before.first_index + std::ssize(before.requests);
  const int64_t end = before.first_index + std::ssize(now.requests);
  const auto found = std::ranges::find_if(
      known.runs, [&](const RunRecord& other) { return other.first_index >= added && other.first_index < end; });
  return found == known.runs.end() ? nullptr : &*found;
}

}  // namespace

std::vector<const RunRecord*> runs_continued(const RunRecord& run, const JournalContent& known,
                                             const std::string& flag) {
  std::set<int64_t> changed;  // first indices of runs to which lines were added that are others now
  for (const RunRecord& one : known.runs) {
    if (!agree(one, run)) changed.insert(one.first_index);
  }
  std::vector<const RunRecord*> continued;
  for (auto before = known.runs.rbegin(); before != known.runs.rend(); ++before) {
    if (continues(*before, run) && !changed.contains(before->first_index)) continued.push_back(&*before);
  }
  const auto is_own = [&](const RunRecord* one) { return one->prompt_file == run.prompt_file; };
  const bool of_its_name = std::ranges::any_of(continued, is_own);
  std::vector<const RunRecord*> found;
  for (const RunRecord* before : continued) {
    const bool longer_one_is_there =
        std::ranges::any_of(found, [&](const RunRecord* one) { return one->first_index == before->first_index; });
    if (longer_one_is_there || (of_its_name && !is_own(before))) continue;
    const RunRecord* const other = in_the_way(*before, run, known);
    if (!other) {
      found.push_back(before);
    } else if (found.empty() && of_its_name) {
      refuse(flag,
             fmt::format("pictures were added at the end of {}, and the numbers that they would have are those of {}",
                         run.prompt_file, other->prompt_file),
             "draw the new ones by a prompt file of their own, or all into another --outdir");
    }
  }
  if (!of_its_name) {  // it is that one's copy of which it has the most
    const auto length = [](const RunRecord* one) { return one->requests.size(); };
    const size_t most = found.empty() ? 0 : length(*std::ranges::max_element(found, {}, length));
    std::erase_if(found, [&](const RunRecord* one) { return length(one) < most; });
  }
  return found;
}

RunPlan plan_run(RunRecord run, const std::vector<std::string>& names, const JournalContent& known,
                 const RunOptions& options) {
  RunPlan plan{.run = std::move(run), .names = told_apart(names)};
  const NameOwners owners(names, plan.names);
  const size_t pictures = plan.run.requests.size();
  plan.wanted.assign(pictures, true);
  const bool resume = options.resume || options.shard;
  const fs::path& folder = options.output.outdir;
  const bool other_seeds =
      options.may_have_other_seeds && (plan.run.seeds_from || options.drawn.seed || options.drawn.variation_seed);
  const std::string flag = options.resume ? "--resume" : "--shard";
  std::vector<const RunRecord*> before;
  try {
    if (resume) before = runs_continued(plan.run, known, flag);
  } catch (const Error&) {
    if (other_seeds) throw SeedsOutOfDate();
    throw;
  }
  if (!before.empty()) {
    const RunPlan nothing_done = plan;
    for (const RunRecord* one : before) {  // the last that lacks any
      plan = nothing_done;
      plan.run.first_index = one->first_index;
      leave_done(plan, owners, known, options);
      if (std::ranges::count(plan.wanted, true) > 0) break;
    }
    // Another run of drawn seeds may lack some.
    if (other_seeds && std::ranges::count(plan.wanted, true) == 0 && plan.found.empty()) throw SeedsOutOfDate();
  } else if (resume && has_run_of(known, plan.run.prompt_file)) {
    if (other_seeds) throw SeedsOutOfDate();
    refuse(flag,
           fmt::format("{} holds another run:{}", folder.empty() ? "the folder" : folder.string(),
                       run_difference(compared_with(plan.run, known), plan.run, known, folder)),
           "give what it was begun with, or another --outdir");
  } else if (options.shard) {
    // Not by what lies in the folder, which another share may be about to draw.
    plan.run.first_index = index_after(known);
    leave_done(plan, owners, known, options);
  } else if (resume && known.runs.empty() && take_up(plan, owners, known, options)) {
    log_warning("no run is recorded in the folder: pictures of this one that lie there are taken up");
  } else {
    plan.run.first_index = std::max(next_index(folder, NameTemplate(plan.run.name)), index_after(known));
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
