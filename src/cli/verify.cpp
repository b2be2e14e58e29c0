#include "cli/verify.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "cli/options.hpp"
#include "cli/report.hpp"
#include "core/error.hpp"
#include "jobs/prompt_file.hpp"
#include "jobs/request_facts.hpp"
#include "jobs/run_plan.hpp"
#include "jobs/verify.hpp"
#include "pipeline/dealt_seeds.hpp"
#include "pipeline/settings_json.hpp"

namespace sdtorch {
namespace {

/// The settings that a run began with, and over them what flags say now.
Settings settings_of(const RunRecord& run, const Invocation& invocation, const std::string& folder) {
  nlohmann::json said = run.defaults;
  for (const auto& [key, value] : run.settings.items()) said[key] = value;
  said.erase("inputs");
  if (!run.model.empty()) said["model"] = run.model;
  for (const auto& [key, value] : run.given.items()) {
    if (key != sweep_key && key != wildcards_key) said[key] = value;
  }
  Settings settings = settings_from_json(said, {}, {.file = folder + ": journal", .place = "run"});
  for (const Setting& setting : sdtorch::settings()) {
    if (std::ranges::find(invocation.given, setting.name) == invocation.given.end()) continue;
    const bool drawn = (setting.name == "seed" && invocation.drawn.seed) ||
                       (setting.name == "variation-seed" && invocation.drawn.variation_seed);
    if (drawn) continue;  // the run's own was
    std::visit([&](auto member) { settings.*member = invocation.settings.*member; }, setting.member);
  }
  return settings;
}

/// What the run made of its lines, unless flags say it now.
Expansion expansion_of(const RunRecord& run, const Invocation& invocation) {
  Expansion expansion = invocation.expansion;
  if (expansion.sweep.empty() && run.given.contains(sweep_key)) {
    expansion.sweep = Sweep(run.given[sweep_key].get<std::vector<std::string>>());
  }
  if (!expansion.wildcards && run.given.contains(wildcards_key)) {
    expansion.wildcards = std::make_shared<Wildcards>(run.given[wildcards_key].get<std::string>());
  }
  return expansion;
}

/// What the run of a prompt file is to be, as one of a folder's runs was begun.
class ExpectedRun {
 public:
  explicit ExpectedRun(const Invocation& invocation) : invocation_(invocation) {
    if (invocation.from_file == "-") input_.assign(std::istreambuf_iterator<char>(std::cin), {});
  }

  /// As the first of these that it goes on with: those of the prompt file's name, the last before the others, then the
  /// rest. Where it goes on with none, as the first that can be begun still. Nothing where there is no prompt file, or
  /// no run.
  std::optional<RunRecord> operator()(const JournalContent& known) const {
    if (!invocation_.from_file) return std::nullopt;
    const std::string name = std::filesystem::path(*invocation_.from_file).filename().string();
    std::vector<RunRecord> runs(known.runs.rbegin(), known.runs.rend());
    std::ranges::stable_partition(runs, [&](const RunRecord& run) { return run.prompt_file == name; });
    std::optional<RunRecord> first;
    std::exception_ptr failure;  // what a run was begun with may be gone
    bool of_its_name = false;    ///< the run of which that is so
    std::set<std::string> tried;
    for (const RunRecord& run : runs) {
      const nlohmann::json seeds = run.seeds_from ? nlohmann::json(*run.seeds_from) : nlohmann::json();
      const nlohmann::json begun = {run.model, run.name, run.settings, run.defaults, run.given, seeds};
      if (!tried.insert(begun.dump()).second) continue;
      try {
        RunRecord expected = as(run);
        const auto goes_on = [&](const RunRecord& before) { return continues(before, expected); };
        if (std::ranges::any_of(known.runs, goes_on)) return expected;
        if (!first) first = std::move(expected);
      } catch (const Error&) {
        if (failure) continue;
        failure = std::current_exception();
        of_its_name = run.prompt_file == name;
      }
    }
    if (failure && (of_its_name || !first)) std::rethrow_exception(failure);
    return first;
  }

 private:
  RunRecord as(const RunRecord& run) const {
    const Settings settings = settings_of(run, invocation_, invocation_.verify.folder.string());
    const Expansion expansion = expansion_of(run, invocation_);  // whose checks draw seeds, too
    RunOptions options{.output = invocation_.output, .prompt_file = *invocation_.from_file, .defaults = settings};
    if (options.output.name.empty()) options.output.name = run.name;
    deal_seeds(run.seeds_from);  // to lines with a seed of -1
    std::istringstream input(input_);
    const std::vector<Job> jobs =
        read_prompt_file(*invocation_.from_file, settings, input, invocation_.from_file_format, expansion);
    CheckedModels models;
    CheckedPictures pictures;
    const NameTemplate names(options.output.name);
    for (const Job& job : jobs) add_pictures(pictures, job, models.get(job.choice).check(job.request), names);
    return record_of(models, jobs, options, std::move(pictures.digests));
  }

  const Invocation& invocation_;
  std::string input_{};  ///< standard input, which can be read once
};

std::string json_text(const FolderReport& report) {
  nlohmann::ordered_json object = {
      {"complete", report.faults.empty()}, {"pictures", report.asked}, {"right", report.right}};
  nlohmann::ordered_json faults = nlohmann::ordered_json::array();
  for (const FaultyPicture& faulty : report.faults) {
    nlohmann::ordered_json one = {{"fault", name_of(faulty.fault)}};
    if (faulty.index) one["index"] = *faulty.index;
    if (!faulty.path.empty()) one["path"] = faulty.path;
    one["reason"] = faulty.reason;
    faults.push_back(std::move(one));
  }
  object["faults"] = std::move(faults);
  object["others"] = report.others;
  return object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::string plain_text(const FolderReport& report) {
  std::string text;
  for (const FaultyPicture& faulty : report.faults) {
    text += name_of(faulty.fault);
    if (faulty.index) text += fmt::format(" {:05}", *faulty.index);
    if (!faulty.path.empty()) text += " " + faulty.path;
    text += ": " + faulty.reason + "\n";
  }
  const size_t others = report.others.size();
  if (others > 0) text += fmt::format("{} PNG file{} of no run\n", others, others == 1 ? " is" : "s are");
  return text + fmt::format("{} of {} pictures are as they should be\n", report.right, report.asked);
}

}  // namespace

FlagGroup verify_flags(VerifyOptions& options) {
  return {"What is looked at",
          {{"DIR", "", "the folder that a run with --from-file filled",
            [&options](const std::string& flag, const std::string& text) {
              if (text.empty()) refuse(flag, "is empty");
              options.folder = text;
            }},
           {"--join", "", "put the journals of all shards into the one that a single process would have written",
            [&options](const std::string&, const std::string&) { options.join = true; }},
           {"--json", "", "one JSON object on a line",
            [&options](const std::string&, const std::string&) { options.json = true; }}}};
}

int verify_command(const Invocation& invocation) {
  const VerifyOptions& options = invocation.verify;
  std::error_code error;
  if (!std::filesystem::is_directory(options.folder, error)) {
    fail(ErrorKind::output, options.folder, "", "is no folder");
  }
  const ExpectedRun expected(invocation);
  FolderReport report = verify_folder(options.folder, expected);
  if (options.join) {
    join_journals(options.folder);
    std::erase_if(report.faults, [](const FaultyPicture& one) { return one.fault == PictureFault::torn; });
  }
  print_result(options.json ? json_text(report) : plain_text(report));
  return report.faults.empty() ? 0 : static_cast<int>(ErrorKind::jobs_failed);
}

}  // namespace sdtorch
