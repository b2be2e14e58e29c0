// Whole pictures on a GPU against those of the CPU.
#include <ATen/ATen.h>

#include <limits>

#include "core/device.hpp"
#include "core/error.hpp"
#include "io/image.hpp"
#include "support/catch.hpp"
#include "support/cuda.hpp"
#include "support/drawing.hpp"
#include "support/golden.hpp"
#include "support/tolerance.hpp"

using namespace sdtorch;

namespace {

const at::Device first_gpu("cuda:0");

ModelDescription describe_built_in() { return describe_model("", ""); }

ModelDescription describe_tiny() { return describe_model(golden_path("pipeline/models/sd1").string(), ""); }

void check_same_picture(const at::Tensor& actual, const at::Tensor& expected) {
  const at::Tensor difference = (actual - expected).abs();
  CHECK(difference.max().item<double>() <= tolerance::pixel);
  CHECK(difference.mean().item<double>() <= tolerance::pixel_mean);
}

}  // namespace

TEST_CASE("on CUDA a picture is the CPU's, for samplers with and without noise", "[pipeline][cuda]") {
  if (no_cuda_device()) return;
  use_exact_fp32();
  const PipelineNetworks on_cpu = networks_of(describe_tiny()),
                         on_gpu = networks_of(describe_tiny(), at::kFloat, first_gpu);
  for (const char* sampler : {"euler", "euler_a", "dpm++2m", "ddim", "heun", "dpm++sde", "unipc"}) {
    INFO(sampler);
    const Request request{.prompt = "a house", .steps = 8, .sampler = sampler};
    const at::Tensor expected = draw_tensors(on_cpu, request, 2).pictures;
    for (int round = 0; round < 2; ++round) check_same_picture(draw_tensors(on_gpu, request, 2).pictures, expected);
  }
  CHECK(on_gpu.model.captured->graphs() <= 2);
}

TEST_CASE("on CUDA prompts of several lengths draw the CPU's pictures", "[pipeline][cuda]") {
  if (no_cuda_device()) return;
  use_exact_fp32();
  const PipelineNetworks on_cpu = networks_of(describe_tiny()),
                         on_gpu = networks_of(describe_tiny(), at::kFloat, first_gpu);
  std::string longer;
  for (int i = 0; i < 100; ++i) longer += "house ";
  std::vector<ResolvedRequest> batch;
  for (const std::string& prompt : {std::string("a tree"), longer}) {
    batch.push_back(resolve(on_cpu.model.description, {.prompt = prompt, .steps = 8, .sampler = "euler"}));
  }
  const at::Tensor expected = draw(on_cpu, batch).pictures;
  for (int round = 0; round < 2; ++round) check_same_picture(draw(on_gpu, batch).pictures, expected);
}

TEST_CASE("on CUDA guidance that looks into the network draws the CPU's pictures", "[pipeline][cuda]") {
  if (no_cuda_device()) return;
  use_exact_fp32();
  const PipelineNetworks on_cpu = networks_of(describe_tiny()),
                         on_gpu = networks_of(describe_tiny(), at::kFloat, first_gpu);
  const Request plain{.prompt = "a house", .steps = 6, .sampler = "euler"};
  Request perturbed = plain, observed = plain, free = plain;
  perturbed.pag_scale = 3;
  observed.sag_scale = 0.7;
  free.freeu = {1.2, 1.4, 0.9, 0.2};
  for (const Request& request : {perturbed, observed, free, plain}) {
    check_same_picture(draw_tensors(on_gpu, request).pictures, draw_tensors(on_cpu, request).pictures);
  }
}

TEST_CASE("on CUDA a picture that starts from another is the CPU's", "[pipeline][cuda]") {
  if (no_cuda_device()) return;
  use_exact_fp32();
  const PipelineNetworks on_cpu = networks_of(describe_built_in()),
                         on_gpu = networks_of(describe_built_in(), at::kFloat, first_gpu);
  Request request{.prompt = "a red house", .steps = 10};
  request.init_img = golden_path("pictures/rgb.jpg").string();
  request.width = 128;
  request.height = 128;
  check_same_picture(draw_tensors(on_gpu, request).pictures, draw_tensors(on_cpu, request).pictures);
}

TEST_CASE("on CUDA fp16 and bf16 draw nearly the picture of fp32", "[pipeline][cuda]") {
  if (no_cuda_device()) return;
  use_exact_fp32();
  const Request request{.prompt = "a red house on green hills at sunset"};
  const at::Tensor exact = draw_tensors(networks_of(describe_built_in()), request, 2).pictures;
  for (const at::ScalarType dtype : {at::kBFloat16, at::kHalf}) {
    const PipelineNetworks networks = networks_of(describe_built_in(), dtype, first_gpu);
    for (int round = 0; round < 2; ++round) {
      INFO(dtype_name(dtype) << " " << round);
      const at::Tensor drawn = draw_tensors(networks, request, 2).pictures;
      CHECK((drawn - exact).abs().mean().item<double>() <= tolerance::half_precision_pixel_mean);
    }
  }
}

TEST_CASE("on CUDA a step that is no number is told by its own name", "[pipeline][cuda]") {
  if (no_cuda_device()) return;
  const PipelineNetworks networks = networks_of(describe_tiny(), at::kFloat, first_gpu);
  {
    const at::NoGradGuard no_grad;
    networks.model.unet->named_parameters()["conv_out.bias"].fill_(std::numeric_limits<float>::quiet_NaN());
  }
  try {
    draw_tensors(networks, {.prompt = "a house", .steps = 5, .sampler = "euler"});
    FAIL("nothing was noticed");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::non_finite);
    CHECK(std::string(error.what()).find("after step 1 of 5") != std::string::npos);
    CHECK(std::string(error.what()).find("conv_out.bias") != std::string::npos);
  }
}
