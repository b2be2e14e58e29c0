#include "jobs/run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <optional>
#include <set>
#include <utility>

#include "core/error.hpp"
#include "core/interrupt.hpp"
#include "core/log.hpp"
#include "jobs/output_folder.hpp"
#include "jobs/picture_writer.hpp"
#include "jobs/previews.hpp"
#include "jobs/prompt_file.hpp"
#include "jobs/step_pictures.hpp"
#include "jobs/tensor_dump.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;

/// What has room for one picture, or one prompt, only.
void check_single(const std::vector<Job>& jobs, const OutputOptions& output) {
  if (count_images(jobs) != 1) {
    if (!output.output.empty()) refuse("--output", "names one file for several images", "use --outdir");
    if (!output.save_steps.empty()) refuse("--save-steps", "follows one image, not several", "draw one at a time");
  }
  if (jobs.size() != 1 && !output.dump.empty()) refuse("--dump", "takes one prompt, not several", "draw one at a time");
}

void check_places(const OutputOptions& output) {
  if (output.output.empty()) {
    check_folder(output.outdir);
  } else {
    check_file(output.output);
  }
  if (!output.dump.empty()) check_file(output.dump);
  if (!output.save_steps.empty()) check_folder(output.save_steps);
  check_previews(output);
}

/// What the jobs choose, each different choice checked once.
class CheckedModels {
 public:
  const CheckedModel& get(const ModelChoice& choice) {
    const auto known = std::ranges::find_if(models_, [&](const auto& one) { return one.first == choice; });
    if (known != models_.end()) return known->second;
    models_.emplace_back(choice, Pipeline::check(choice));
    return models_.back().second;
  }

 private:
  std::vector<std::pair<ModelChoice, CheckedModel>> models_{};
};

/// Each job against its model, before anything is drawn. What is wrong with lines of a prompt file is told together.
void check_requests(CheckedModels& models, const std::vector<Job>& jobs) {
  std::vector<std::string> faults;
  std::set<std::string> said;  // each warning once
  for (const Job& job : jobs) {
    try {
      for (const std::string& line : models.get(job.choice).check(job.request).warnings) {
        if (said.insert(line).second) log_warning(line);
      }
    } catch (const Error& error) {
      if (job.source.empty() || error.kind() != ErrorKind::usage) throw;
      faults.push_back(fmt::format("{}: {}", job.source, error.what()));
    }
  }
  if (!faults.empty()) throw_faults(faults);
}

/// All checks of a run, short of its weights.
CheckedModels check_run(const std::vector<Job>& jobs, const OutputOptions& output) {
  check_single(jobs, output);
  CheckedModels models;
  models.get(jobs.front().choice);  // whose faults are no line's
  check_requests(models, jobs);
  check_places(output);
  return models;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// The pipeline, the places to write to, and how far the run has come.
class Run {
 public:
  Run(Pipeline pipeline, const OutputOptions& output, Reporter& reporter, int64_t total)
      : pipeline_(std::move(pipeline)), output_(output), reporter_(reporter), total_(total), writer_(output) {
    if (!output.save_steps.empty()) steps_.emplace(output.save_steps);
    if (output.preview_every > 0) previews_.emplace(preview_file(output), output.preview_every);
  }

  /// Takes the place of what was open before, which leaves memory first.
  void open(const CheckedModel& model) {
    reporter_.on_loading();
    pipeline_.reset();
    if (previews_) previews_->forget_model();
    pipeline_.emplace(Pipeline::open(model));
  }

  void draw(const std::vector<Request>& batch) {
    std::vector<int64_t> numbers(batch.size());
    std::iota(numbers.begin(), numbers.end(), done_);
    reporter_.on_batch(numbers, total_);
    const auto start = std::chrono::steady_clock::now();
    const std::vector<Picture> pictures = pipeline_->draw(batch, observer(batch.front()));
    throw_if_interrupted();  // one that came while decoding
    const double seconds = seconds_since(start) / static_cast<double>(batch.size());
    for (const Picture& picture : pictures) {
      const fs::path path = writer_.write(picture, pipeline_->model().choice());
      reporter_.on_image({.path = path,
                          .index = done_++,
                          .request = picture.request,
                          .sampler = picture.sampler,
                          .width = picture.image.width,
                          .height = picture.image.height,
                          .seconds = seconds});
    }
  }

  void finish() {
    if (!output_.dump.empty()) dump_.save(output_.dump);
    if (steps_) steps_->finish();
  }

 private:
  Observer observer(const Request& shared) {
    Observer observer;
    observer.on_stage = [](Stage) { throw_if_interrupted(); };
    observer.on_step = [this, &shared](const Step& step) {
      if (steps_) steps_->add(*pipeline_, step, shared);
      reporter_.on_step(step);
      if (previews_ && previews_->add(*pipeline_, step, shared)) {
        reporter_.on_preview({.path = previews_->file(), .index = done_, .step = step.index + 1, .steps = step.count});
      }
    };
    if (!output_.dump.empty()) {
      observer.on_tensor = [this](std::string_view name, const at::Tensor& tensor) { dump_.add(name, tensor); };
    }
    return observer;
  }

  std::optional<Pipeline> pipeline_;
  const OutputOptions& output_;
  Reporter& reporter_;
  int64_t total_;
  int64_t done_ = 0;
  PictureWriter writer_;
  TensorDump dump_{};
  std::optional<StepPictures> steps_{};
  std::optional<Previews> previews_{};
};

}  // namespace

void run_jobs(const std::vector<Job>& jobs, const OutputOptions& output, Reporter& reporter) {
  if (jobs.empty()) return;
  CheckedModels models = check_run(jobs, output);
  const ModelChoice* opened = &jobs.front().choice;
  reporter.on_loading();
  Pipeline pipeline = Pipeline::open(models.get(*opened));
  watch_for_interrupts();  // from here on there are files to finish or to take away
  Run run(std::move(pipeline), output, reporter, count_images(jobs));
  Batches batches(jobs);
  for (Batch batch = batches.next(); !batch.pictures.empty(); batch = batches.next()) {
    if (*batch.choice != *opened) run.open(models.get(*batch.choice));
    opened = batch.choice;
    run.draw(batch.pictures);
  }
  run.finish();
}

void check_jobs(const std::vector<Job>& jobs, const OutputOptions& output) {
  if (!jobs.empty()) check_run(jobs, output);
}

}  // namespace sdtorch
