// Calls that a GPU may remember: the results are those of the plain function.
#include <ATen/ATen.h>

#include <stdexcept>
#include <thread>
#include <vector>

#include "core/cancel.hpp"
#include "nn/captured.hpp"
#include "nn/linear.hpp"
#include "support/catch.hpp"
#include "support/cuda.hpp"
#include "support/golden.hpp"

using namespace sdtorch;

namespace {

constexpr CallHint often{.kind = "", .expected = 100};

/// A small network of a picture and, perhaps, a text.
struct SmallNetwork {
  at::Tensor weight;

  explicit SmallNetwork(at::Device device) : weight(at::randn({16, 16}).to(device)) {}

  at::Tensor operator()(const std::vector<at::Tensor>& inputs) const {
    const at::Tensor h = at::gelu(at::matmul(inputs[0], weight));
    return inputs[1].defined() ? h + inputs[1].sum() : h;
  }
};

void check_calls(at::Device device) {
  at::manual_seed(31);
  const c10::InferenceMode inference;
  const SmallNetwork network(device);
  CapturedCalls calls;
  for (int round = 0; round < 5; ++round) {
    for (const int64_t rows : {3, 8}) {
      for (const int64_t length : {0, 2, 5}) {
        const at::Tensor x = at::randn({rows, 16}).to(device);
        const at::Tensor text = length > 0 ? at::randn({length}).to(device) : at::Tensor();
        const at::Tensor kept = x.clone();
        const at::Tensor said = calls({x, text}, network, often);
        CHECK(relative_error(said, network({x, text})) < 1e-6);
        CHECK(at::equal(x, kept));
      }
    }
  }
  CHECK(calls.graphs() == (device.is_cuda() && calls.graphs() > 0 ? 6 : 0));
}

}  // namespace

TEST_CASE("a call that may be remembered is the plain call", "[nn]") { check_calls(at::kCPU); }

TEST_CASE("on CUDA a captured call equals the plain one, for inputs of several shapes", "[nn][cuda]") {
  if (no_cuda_device()) return;
  check_calls(at::Device("cuda:0"));
}

TEST_CASE("on CUDA few calls, and what looks at its numbers, are plain", "[nn][cuda]") {
  if (no_cuda_device()) return;
  const c10::InferenceMode inference;
  CapturedCalls calls;
  const at::Tensor x = at::ones({4}).to(at::kCUDA);
  const auto twice = [](const std::vector<at::Tensor>& inputs) { return 2 * inputs[0]; };
  for (int i = 0; i < 3; ++i) CHECK(calls({x}, twice, {.kind = "few", .expected = 2}).sum().item<float>() == 8);
  CHECK(calls.graphs() == 0);
  for (int i = 0; i < 20; ++i) CHECK(calls({x}, twice, {.kind = "few", .expected = 2}).sum().item<float>() == 8);
  CHECK(calls.graphs() == 1);  // but many times few
  calls.clear();
  const auto looks = [](const std::vector<at::Tensor>& inputs) { return inputs[0] * inputs[0].sum().item<float>(); };
  for (int i = 0; i < 4; ++i)
    CHECK(calls({x * i}, looks, {.kind = "looks", .expected = 100})[0].item<float>() == 4 * i * i);
  CHECK(calls.graphs() == 0);
  // Whatever happened, others may still be captured.
  for (int i = 0; i < 4; ++i) CHECK(calls({x * i}, twice, often)[0].item<float>() == 2 * i);
}

TEST_CASE("on CUDA a capture may be left, and begun again", "[nn][cuda]") {
  if (no_cuda_device()) return;
  const c10::InferenceMode inference;
  CapturedCalls calls;
  Linear linear(4, 4);
  for (at::Tensor& parameter : linear->parameters()) parameter.set_data(at::ones(parameter.sizes()).to(at::kCUDA));
  const at::Tensor x = at::ones({2, 4}).to(at::kCUDA);
  const auto apply = [&](const std::vector<at::Tensor>& inputs) { return linear(inputs[0]); };
  calls({x}, apply, often);
  {
    const CancelScope cancelled([] { throw std::runtime_error("left"); });
    CHECK_THROWS_WITH(calls({x}, apply, often), "left");
  }
  for (int i = 0; i < 4; ++i) CHECK(calls({x * i}, apply, often)[0][0].item<float>() == 4 * i + 1);
}

TEST_CASE("on CUDA several threads may call at once", "[nn][cuda]") {
  if (no_cuda_device()) return;
  CapturedCalls calls;
  const SmallNetwork network(at::Device("cuda:0"));
  std::vector<double> errors(3, 1);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < errors.size(); ++t) {
    threads.emplace_back([&, t] {
      const c10::InferenceMode inference;
      double worst = 0;
      for (int i = 0; i < 20; ++i) {
        const at::Tensor x = at::full({8, 16}, static_cast<double>(t) + 0.1 * i).to(at::kCUDA);
        worst = std::max(worst, relative_error(calls({x, {}}, network, often), network({x, {}})));
      }
      errors[t] = worst;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const double error : errors) CHECK(error < 1e-6);
}
