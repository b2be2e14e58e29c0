#include "jobs/bench.hpp"

#include <algorithm>
#include <chrono>
#include <vector>

#include "core/device.hpp"
#include "jobs/job.hpp"
#include "sdtorch/pipeline.hpp"

namespace sdtorch {
namespace {

/// Seconds since the last lap, everything queued on the device included.
class Stopwatch {
 public:
  explicit Stopwatch(std::string device) : device_(std::move(device)) {}

  double lap() {
    wait_for_device(device_);
    const auto now = std::chrono::steady_clock::now();
    const double seconds = std::chrono::duration<double>(now - last_).count();
    last_ = now;
    return seconds;
  }

 private:
  std::string device_;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

}  // namespace

BenchResult run_bench(const Settings& settings) {
  Stopwatch watch(resolve_device(settings.device).str());
  const CheckedModel model = Pipeline::check(settings);
  model.check(settings);  // before the weights
  const Pipeline pipeline = Pipeline::open(model);
  BenchResult result{
      .load_s = watch.lap(), .steps = settings.steps, .device = model.choice().device, .dtype = model.choice().dtype};

  std::vector<double> steps;
  const Observer observer{.on_stage =
                              [&](Stage stage) {
                                const double seconds = watch.lap();
                                if (stage == Stage::denoise) result.text_s = seconds;
                              },
                          .on_step = [&](const Step&) { steps.push_back(watch.lap()); }};
  const std::vector<Job> jobs{job_of(settings)};
  const std::vector<Picture> pictures = pipeline.draw(Batches(jobs).next().pictures, observer);
  result.vae_s = watch.lap();
  for (const Picture& picture : pictures) encode_png(picture, model.choice());
  result.png_s = watch.lap();

  if (steps.empty()) steps.push_back(0);  // a --refiner-start that leaves neither model any
  result.first_step_s = steps.front();
  result.step_median_s = steps.size() == 1 ? steps.front() : median({steps.begin() + 1, steps.end()});
  result.total_s = result.load_s + result.text_s + result.vae_s + result.png_s;
  for (const double step : steps) result.total_s += step;
  result.peak_rss_mb = peak_rss_mib();
  return result;
}

}  // namespace sdtorch
