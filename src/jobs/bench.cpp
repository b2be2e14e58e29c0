#include "jobs/bench.hpp"

#include <torch/cuda.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <vector>

#include "core/device.hpp"
#include "io/image.hpp"
#include "pipeline/decode.hpp"
#include "pipeline/generate.hpp"

namespace sdtorch {
namespace {

/// Seconds since the last lap, everything queued on the device included.
class Stopwatch {
 public:
  explicit Stopwatch(at::Device device) : device_(device) {}

  double lap() {
    if (device_.is_cuda()) torch::cuda::synchronize(device_.index());
    const auto now = std::chrono::steady_clock::now();
    const double seconds = std::chrono::duration<double>(now - last_).count();
    last_ = now;
    return seconds;
  }

 private:
  at::Device device_;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

}  // namespace

BenchResult run_bench(const Request& request) {
  if (request.deterministic) use_deterministic_algorithms();
  const at::Device device = resolve_device(request.device);
  const at::ScalarType dtype = resolve_dtype(request.dtype, device);
  Stopwatch watch(device);

  ModelDescription description = describe_model(request.model, request.vae, request.prediction.value_or(""));
  std::optional<ModelDescription> refiner_description;
  if (!request.refiner.empty()) {
    refiner_description = describe_model(request.refiner, request.vae);
    check_refiner(description, *refiner_description);
  }
  const ResolvedRequest resolved = resolve(description, request, refiner_description ? &*refiner_description : nullptr);
  Components model = load_components(std::move(description), device, dtype);
  std::optional<Components> refiner;
  if (refiner_description) refiner = load_components(std::move(*refiner_description), device, dtype);
  BenchResult result{.load_s = watch.lap(), .steps = request.steps, .device = device.str(), .dtype = dtype_name(dtype)};

  std::vector<double> steps;
  const Observer observer{.on_stage =
                              [&](Stage stage) {
                                const double seconds = watch.lap();
                                if (stage == Stage::denoise) result.text_s = seconds;
                              },
                          .on_step = [&](const SamplerStep&) { steps.push_back(watch.lap()); }};
  const int64_t images = std::min(request.batch_size, request.batch_count);
  const Generated generated = generate(model, resolved, 0, images, observer, refiner ? &*refiner : nullptr);
  result.vae_s = watch.lap();
  for (int64_t i = 0; i < images; ++i) encode_png(to_image(generated.pictures[i]));
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
