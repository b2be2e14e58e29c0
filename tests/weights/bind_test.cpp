#include <torch/nn/module.h>

#include "support/cuda.hpp"
#include "support/errors.hpp"
#include "support/temp_dir.hpp"
#include "weights/bind.hpp"

using sdtorch::ErrorKind;
using sdtorch::StateDict;

namespace {

struct Inner : torch::nn::Module {
  at::Tensor weight = register_parameter("weight", at::empty({2, 3}));
  at::Tensor counts = register_buffer("counts", at::empty({2}, at::kLong));
};

struct Outer : torch::nn::Module {
  std::shared_ptr<Inner> inner = register_module("inner", std::make_shared<Inner>());
  at::Tensor bias = register_parameter("bias", at::empty({4}));
};

StateDict good() {
  return {{"inner.weight", {at::arange(6, at::kHalf).reshape({2, 3}), "a.safetensors"}},
          {"inner.counts", {at::arange(2), "a.safetensors"}},
          {"bias", {at::arange(4, at::kHalf), "a.safetensors"}}};
}

}  // namespace

TEST_CASE("parameters and buffers get their tensors, converted", "[weights]") {
  Outer module;
  sdtorch::bind_weights(module, good(), at::kBFloat16, at::kCPU, "thing");
  CHECK(module.inner->weight.scalar_type() == at::kBFloat16);
  CHECK(at::equal(module.inner->weight.to(at::kFloat), at::arange(6).reshape({2, 3}).to(at::kFloat)));
  CHECK_FALSE(module.inner->weight.requires_grad());
  CHECK(module.inner->counts.scalar_type() == at::kLong);
  CHECK(at::equal(module.inner->counts, at::arange(2)));
}

TEST_CASE("a tensor that has the type already is not copied", "[weights]") {
  const TempDir folder;
  sdtorch::save_safetensors(
      folder / "x.safetensors",
      {{"inner.weight", at::ones({2, 3})}, {"inner.counts", at::arange(2)}, {"bias", at::ones(4)}});
  StateDict weights = sdtorch::load_safetensors(folder / "x.safetensors");
  const void* mapped = weights.at("bias").tensor.const_data_ptr();
  Outer module;
  sdtorch::bind_weights(module, std::move(weights), at::kFloat, at::kCPU, "thing");
  CHECK(module.bias.const_data_ptr() == mapped);
  CHECK(at::equal(module.bias, at::ones(4)));
}

TEST_CASE("positions that old files count out are no weights", "[weights]") {
  for (const char* key : {"text_model.embeddings.position_ids", "embeddings.position_ids"}) {
    StateDict weights = good();
    weights[key] = {at::arange(77), "a.safetensors"};
    Outer module;
    CHECK_NOTHROW(sdtorch::bind_weights(module, std::move(weights), at::kFloat, at::kCPU, "thing"));
  }
}

TEST_CASE("all that does not fit is said at once, and nothing is bound", "[weights]") {
  StateDict weights = good();
  weights.erase("inner.counts");
  weights["bias"] = {at::zeros({4, 1}), "b.safetensors"};
  weights["inner.weight"] = {at::zeros({2, 3}, at::kLong), "a.safetensors"};
  weights["other"] = {at::zeros(7), "b.safetensors"};
  Outer module;
  const void* before = module.bias.const_data_ptr();
  const std::string message = error_message(
      ErrorKind::model, [&] { sdtorch::bind_weights(module, std::move(weights), at::kFloat, at::kCPU, "thing"); });
  CHECK(message ==
        "a.safetensors, b.safetensors: the weights do not fit the thing\n"
        "  1 missing:\n"
        "    inner.counts: Long [2] was expected\n"
        "  1 unexpected:\n"
        "    other: Float [7] in b.safetensors\n"
        "  2 misshapen:\n"
        "    bias: floating point [4] was expected, found Float [4, 1] in b.safetensors\n"
        "    inner.weight: floating point [2, 3] was expected, found Long [2, 3] in a.safetensors");
  CHECK(module.bias.const_data_ptr() == before);
}

TEST_CASE("long lists are cut short, with a count", "[weights]") {
  StateDict weights = good();
  for (int i = 0; i < 30; ++i) weights["extra" + std::to_string(i)] = {at::zeros(1), "a.safetensors"};
  Outer module;
  const std::string message = error_message(
      ErrorKind::model, [&] { sdtorch::bind_weights(module, std::move(weights), at::kFloat, at::kCPU, "thing"); });
  CHECK(message.find("a.safetensors: the weights do not fit the thing\n  30 unexpected:\n") == 0);
  CHECK(message.find("… and 10 more") != std::string::npos);
  CHECK(message.find("extra9") == std::string::npos);
}

TEST_CASE("weights are bound on a GPU", "[weights][cuda]") {
  if (no_cuda_device()) return;
  Outer module;
  sdtorch::bind_weights(module, good(), at::kHalf, at::kCUDA, "thing");
  CHECK(module.inner->weight.is_cuda());
  CHECK(module.inner->counts.is_cuda());
  CHECK(at::equal(module.bias.cpu(), at::arange(4, at::kHalf)));
}
