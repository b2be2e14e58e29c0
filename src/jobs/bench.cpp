#include "jobs/bench.hpp"

#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

#include "core/device.hpp"
#include "core/dtype.hpp"
#include "jobs/job.hpp"
#include "jobs/product_rate.hpp"
#include "jobs/stopwatch.hpp"
#include "sdtorch/pipeline.hpp"

namespace sdtorch {
namespace {

/// A part's seconds, and its layers where somebody asked for them.
struct Part {
  double seconds = 0;
  std::vector<LayerCost> layers{};
};

/// Measures one part after the other, and tells them.
class Parts {
 public:
  Parts(const std::string& device, const BenchOptions& options) : watch_(device), tell_(options.after_part) {
    if (options.profile) profile_.emplace([device] { wait_for_device(device); });
  }

  Part finish(std::string_view name) {
    Part part{.seconds = watch_.lap()};
    if (profile_) part.layers = profile_->take();
    if (tell_) again_ = tell_(name, part.seconds);
    watch_.lap();
    return part;
  }

  /// Whether who was told of the last part wants another picture.
  bool again() const { return again_; }

 private:
  Stopwatch watch_;
  std::function<bool(std::string_view, double)> tell_;
  std::optional<LayerProfile> profile_{};
  bool again_ = false;
};

struct DrawnParts {
  Part text{}, vae{};
  std::vector<Part> steps{};
  std::vector<Picture> pictures{};
};

DrawnParts draw(const Pipeline& pipeline, const Settings& settings, Parts& parts) {
  DrawnParts drawn;
  const Observer observer{.on_stage =
                              [&](Stage stage) {
                                if (stage == Stage::denoise) drawn.text = parts.finish("text");
                              },
                          .on_step = [&](const Step&) { drawn.steps.push_back(parts.finish("step")); }};
  const std::vector<Job> jobs{job_of(settings)};
  drawn.pictures = pipeline.draw(Batches(jobs).next().pictures, observer);
  drawn.vae = parts.finish("vae");
  if (drawn.steps.empty()) drawn.steps.emplace_back();  // a --refiner-start that leaves neither model any
  return drawn;
}

/// The later steps, or the first where there is no other; the quickest first.
std::vector<const Part*> later_steps(const std::vector<Part>& steps) {
  std::vector<const Part*> later;
  for (size_t i = steps.size() == 1 ? 0 : 1; i < steps.size(); ++i) later.push_back(&steps[i]);
  std::sort(later.begin(), later.end(), [](const Part* a, const Part* b) { return a->seconds < b->seconds; });
  return later;
}

BenchProfile profile_of(const DrawnParts& drawn, const ModelChoice& choice) {
  const std::vector<const Part*> later = later_steps(drawn.steps);
  const Part& step = *later[(later.size() - 1) / 2];
  return {
      .step = summarize(step.seconds, step.layers),
      .vae = summarize(drawn.vae.seconds, drawn.vae.layers),
      .product_rate = measure_product_rate(step.layers, *find_compute_dtype(choice.dtype), at::Device(choice.device))};
}

}  // namespace

BenchResult run_bench(const Settings& settings, const BenchOptions& options) {
  Parts parts(resolve_device(settings.device).str(), options);
  const CheckedModel model = Pipeline::check(settings);
  model.check(settings);  // before the weights
  const Pipeline pipeline = Pipeline::open(model);
  BenchResult result{.load_s = parts.finish("load").seconds,
                     .steps = settings.steps,
                     .device = model.choice().device,
                     .dtype = model.choice().dtype,
                     .threads = at::get_num_threads()};

  const DrawnParts first = draw(pipeline, settings, parts);
  for (const Picture& picture : first.pictures) encode_png(picture, model.choice());
  result.png_s = parts.finish("png").seconds;

  std::vector<double> later;
  for (const Part* step : later_steps(first.steps)) later.push_back(step->seconds);
  result.text_s = first.text.seconds;
  result.vae_s = first.vae.seconds;
  result.first_step_s = first.steps.front().seconds;
  result.step_median_s = median(later);
  result.total_s = result.load_s + result.text_s + result.vae_s + result.png_s;
  for (const Part& step : first.steps) result.total_s += step.seconds;
  result.peak_rss_mb = peak_rss_mib();
  if (options.profile) result.profile = profile_of(first, model.choice());
  while (parts.again()) draw(pipeline, settings, parts);
  return result;
}

}  // namespace sdtorch
