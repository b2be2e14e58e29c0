#include "jobs/run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <set>

#include "core/device.hpp"
#include "core/error.hpp"
#include "core/interrupt.hpp"
#include "core/log.hpp"
#include "jobs/output_folder.hpp"
#include "jobs/picture_writer.hpp"
#include "jobs/prompt_file.hpp"
#include "jobs/step_pictures.hpp"
#include "jobs/tensor_dump.hpp"
#include "pipeline/decode.hpp"
#include "pipeline/generate.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;

int64_t count_images(const std::vector<Job>& jobs) {
  int64_t images = 0;
  for (const Job& job : jobs) images += job.request.batch_count;
  return images;
}

/// What has room for one picture, or one prompt, only.
void check_single(const std::vector<Job>& jobs, const OutputOptions& output) {
  const auto refuse = [](const char* flag, const char* reason, const char* hint) {
    throw Error(ErrorKind::usage, {.file = flag, .reason = reason, .hint = hint});
  };
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
}

/// Each job against the model, before anything is drawn. What is wrong with lines of a prompt file is told together.
std::vector<ResolvedRequest> resolve_all(const ModelDescription& model, const ModelDescription* refiner,
                                         const std::vector<Job>& jobs, at::ScalarType dtype) {
  std::vector<ResolvedRequest> resolved;
  std::vector<std::string> faults;
  std::set<std::string> said;  // each warning once
  for (const Job& job : jobs) {
    try {
      resolved.push_back(resolve(model, job.request, refiner));
      resolved.back().request.dtype = dtype_name(dtype);  // a picture repeats elsewhere in the type it was made in
      for (const std::string& line : resolved.back().warnings) {
        if (said.insert(line).second) log_warning(line);
      }
    } catch (const Error& error) {
      if (job.source.empty() || error.kind() != ErrorKind::usage) throw;
      faults.push_back(fmt::format("{}: {}", job.source, error.what()));
    }
  }
  if (!faults.empty()) throw_faults(faults);
  return resolved;
}

/// A run that has passed every check, short of its weights.
struct CheckedRun {
  at::Device device;
  at::ScalarType dtype;
  ModelDescription model;
  std::optional<ModelDescription> refiner;
  std::vector<ResolvedRequest> requests;
};

CheckedRun check(const std::vector<Job>& jobs, const OutputOptions& output) {
  const Request& shared = jobs.at(0).request;
  check_single(jobs, output);
  const at::Device device = resolve_device(shared.device);
  const at::ScalarType dtype = resolve_dtype(shared.dtype, device);
  ModelDescription model = describe_model(shared.model, shared.vae, shared.prediction.value_or(""));
  std::optional<ModelDescription> refiner;
  if (!shared.refiner.empty()) {
    refiner = describe_model(shared.refiner, shared.vae);
    check_refiner(model, *refiner);
  }
  std::vector<ResolvedRequest> requests = resolve_all(model, refiner ? &*refiner : nullptr, jobs, dtype);
  check_places(output);
  return {.device = device,
          .dtype = dtype,
          .model = std::move(model),
          .refiner = std::move(refiner),
          .requests = std::move(requests)};
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// The model, the places to write to, and how far the run has come.
class Run {
 public:
  Run(Components model, std::optional<Components> refiner, const OutputOptions& output, Reporter& reporter,
      int64_t total)
      : model_(std::move(model)),
        refiner_(std::move(refiner)),
        output_(output),
        reporter_(reporter),
        total_(total),
        writer_(output) {
    if (!output.save_steps.empty()) steps_.emplace(output.save_steps);
  }

  void draw(const ResolvedRequest& resolved) {
    const Request& request = resolved.request;
    for (int64_t first = 0; first < request.batch_count; first += request.batch_size) {
      draw_batch(resolved, first, std::min(request.batch_size, request.batch_count - first));
    }
  }

  void finish() {
    if (!output_.dump.empty()) dump_.save(output_.dump);
    if (steps_) steps_->finish();
  }

 private:
  void draw_batch(const ResolvedRequest& resolved, int64_t first, int64_t count) {
    reporter_.on_batch(done_, count, total_);
    const auto start = std::chrono::steady_clock::now();
    Observer observer;
    observer.on_stage = [](Stage) { throw_if_interrupted(); };
    observer.on_step = [&](const SamplerStep& step) {
      if (steps_) steps_->add(last(), step);
      reporter_.on_step(step);
    };
    if (!output_.dump.empty()) {
      observer.on_tensor = [this](std::string_view name, const at::Tensor& tensor) { dump_.add(name, tensor); };
    }
    const Generated generated = generate(model_, resolved, first, count, observer, refiner_ ? &*refiner_ : nullptr);
    throw_if_interrupted();  // one that came while decoding
    const double seconds = seconds_since(start) / static_cast<double>(count);
    std::vector<std::string> notes;
    if (generated.vae_again_in_fp32) notes.emplace_back("VAE again in fp32");
    for (int64_t i = 0; i < count; ++i) {
      const Request repeat = resolved.request.image(first + i);
      Request picture = repeat;
      picture.sampler = std::string(resolved.plan.sampler->name);
      const fs::path path = writer_.write(to_image(generated.pictures[i]), picture, repeat, notes);
      reporter_.on_image(
          {.path = path, .index = done_++, .seed = picture.seed, .request = picture, .seconds = seconds});
    }
  }

  /// The model that decodes.
  Components& last() { return refiner_ ? *refiner_ : model_; }

  Components model_;
  std::optional<Components> refiner_;
  const OutputOptions& output_;
  Reporter& reporter_;
  int64_t total_;
  int64_t done_ = 0;
  PictureWriter writer_;
  TensorDump dump_{};
  std::optional<StepPictures> steps_{};
};

}  // namespace

void run_jobs(const std::vector<Job>& jobs, const OutputOptions& output, Reporter& reporter) {
  if (jobs.empty()) return;
  if (jobs.front().request.deterministic) use_deterministic_algorithms();
  CheckedRun checked = check(jobs, output);
  Components model = load_components(std::move(checked.model), checked.device, checked.dtype);
  std::optional<Components> refiner;
  if (checked.refiner) refiner = load_components(std::move(*checked.refiner), checked.device, checked.dtype);
  watch_for_interrupts();  // from here on there are files to finish or to take away
  Run run(std::move(model), std::move(refiner), output, reporter, count_images(jobs));
  for (const ResolvedRequest& request : checked.requests) run.draw(request);
  run.finish();
}

void check_jobs(const std::vector<Job>& jobs, const OutputOptions& output) {
  if (!jobs.empty()) check(jobs, output);
}

}  // namespace sdtorch
