#include "jobs/product_rate.hpp"

#include <ATen/Parallel.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "jobs/stopwatch.hpp"

namespace sdtorch {
namespace {

constexpr size_t sizes_measured = 8;
constexpr int runs_measured = 5;
constexpr int64_t rows_per_thread = 512;  // a convolution's rows overlap: as a product they would not fit the cache

/// The operator with LibTorch's own name, which no header declares; nothing where this LibTorch lacks it.
std::optional<at::Tensor> call_if_there(const char* name, std::vector<c10::IValue> arguments) {
  const auto found = c10::Dispatcher::singleton().findSchema({name, ""});
  if (!found || found->schema().arguments().size() != arguments.size()) return std::nullopt;
  found->callBoxed(&arguments);
  return arguments.front().toTensor();
}

double median_seconds(const std::function<void()>& run, at::Device device) {
  run();
  Stopwatch watch(device.str());
  std::vector<double> seconds;
  for (int i = 0; i < runs_measured; ++i) {
    run();
    seconds.push_back(watch.lap());
  }
  return median(seconds);
}

double seconds_of(const MatrixProduct& product, at::ScalarType dtype, at::Device device) {
  const auto options = at::TensorOptions().dtype(dtype).device(device);
  const at::Tensor x = at::ones({product.rows, product.inner}, options);
  const at::Tensor weight = at::ones({product.columns, product.inner}, options);
  double seconds = median_seconds([&] { at::linear(x, weight); }, device);
  if (!device.is_cpu()) return seconds;
  const auto packed = call_if_there("mkldnn::_reorder_linear_weight", {weight, product.rows});
  if (!packed) return seconds;
  const c10::List<std::optional<at::Scalar>> no_scalars;
  const auto multiply = [&] {
    return call_if_there("mkldnn::_linear_pointwise", {x, *packed, c10::IValue(), "none", no_scalars, c10::IValue()});
  };
  if (multiply()) seconds = std::min(seconds, median_seconds(multiply, device));
  return seconds;
}

/// Each size and the operations that the layers spend on it, the largest first.
std::vector<std::pair<MatrixProduct, double>> heaviest_products(std::span<const LayerCost> layers) {
  std::map<MatrixProduct, double> flops;
  for (const LayerCost& layer : layers) {
    if (layer.kind != LayerKind::convolution && layer.kind != LayerKind::linear) continue;
    flops[layer.product] += layer.product.flops() * static_cast<double>(layer.calls);
  }
  std::vector<std::pair<MatrixProduct, double>> sorted(flops.begin(), flops.end());
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  sorted.resize(std::min(sorted.size(), sizes_measured));
  return sorted;
}

}  // namespace

double measure_product_rate(std::span<const LayerCost> layers, at::ScalarType dtype, at::Device device) {
  const c10::InferenceMode inference;
  double flops = 0, seconds = 0;
  for (auto [product, weight] : heaviest_products(layers)) {
    if (device.is_cpu()) product.rows = std::min(product.rows, rows_per_thread * std::max(at::get_num_threads(), 2));
    flops += weight;
    seconds += weight / product.flops() * seconds_of(product, dtype, device);
  }
  return seconds > 0 ? flops / seconds : 0;
}

}  // namespace sdtorch
