#include "jobs/expansion.hpp"

#include <fmt/format.h>

#include "core/error.hpp"
#include "core/log.hpp"

namespace sdtorch {
namespace {

bool holds_wildcards(const Request& request) {
  return has_wildcards(request.prompt) || has_wildcards(request.negative_prompt.value_or(""));
}

[[noreturn]] void refuse_many(std::string what) {
  throw TooManyJobs(ErrorKind::usage, {.reason = std::move(what), .hint = "draw them in several runs"});
}

void check_room(size_t jobs, size_t room) {
  if (jobs > room) refuse_many(fmt::format("more than {} jobs are asked for", most_jobs));
}

/// Picture `index` of a job, with lines for its wildcards.
Job expanded_picture(const Job& job, int64_t index, Wildcards& wildcards) {
  Job picture = job;
  picture.request = picture_of(job, index);
  picture.batch_count = 1;
  const uint64_t seed = job.request.seed + static_cast<uint64_t>(index);
  Request& request = picture.request;
  request.prompt = wildcards.expand(job.request.prompt, seed, PromptSide::prompt);
  if (request.negative_prompt) {
    request.negative_prompt = wildcards.expand(*job.request.negative_prompt, seed, PromptSide::negative);
  }
  return picture;
}

void add_job(std::vector<Job>& jobs, Job job, Wildcards* wildcards, size_t room) {
  if (!holds_wildcards(job.request)) {
    check_room(jobs.size() + 1, room);
    jobs.push_back(std::move(job));
    return;
  }
  if (!wildcards) {
    log_warning_once("__name__ in prompts is drawn as text; --wildcards DIR says where the lines for it are");
    check_room(jobs.size() + 1, room);
    jobs.push_back(std::move(job));
    return;
  }
  check_room(jobs.size() + static_cast<size_t>(job.batch_count), room);
  for (int64_t i = 0; i < job.batch_count; ++i) jobs.push_back(expanded_picture(job, i, *wildcards));
}

}  // namespace

std::vector<Job> jobs_of(const Settings& settings, const Expansion& expansion, const std::string& source,
                         const std::vector<ValuePlace>& places, size_t room) {
  const size_t variants = expansion.sweep.size();
  check_room(variants, room);
  std::vector<Job> jobs;
  for (size_t i = 0; i < variants; ++i) {
    Variant variant = expansion.sweep.empty() ? Variant{.settings = settings} : expansion.sweep.variant(settings, i);
    variant.settings.validate();
    Job job = job_of(variant.settings, source);
    job.variant = std::move(variant.name);
    job.places = places;
    add_job(jobs, std::move(job), expansion.wildcards.get(), room);
  }
  return jobs;
}

void check_pictures(const std::vector<Job>& jobs) {
  int64_t pictures = 0;
  for (const Job& job : jobs) pictures += job.batch_count;
  if (pictures > most_pictures) {
    refuse_many(fmt::format("{} pictures are asked for, more than {}", pictures, most_pictures));
  }
}

void check_defaults(const Settings& settings) {
  try {
    settings.validate();
  } catch (const Error&) {
    Settings started = settings;
    if (!started.init_img.empty()) throw;
    started.init_img = "-";
    try {
      started.validate();
    } catch (const Error&) {
      settings.validate();  // what is wrong with it as it is
    }
  }
}

}  // namespace sdtorch
