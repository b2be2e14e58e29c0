#include "sdtorch/version.hpp"

#include <torch/version.h>

#include "support/catch.hpp"
#include "support/cuda.hpp"

TEST_CASE("the version names the tool, LibTorch, the CPU capability and CUDA", "[core]") {
  const std::string text = sdtorch::version_text();
  CHECK(text.rfind("sdtorch ", 0) == 0);
  CHECK(text.find(std::string("\nLibTorch ") + TORCH_VERSION) != std::string::npos);
  CHECK(text.find("\nCPU capability ") != std::string::npos);
  CHECK(text.find("\nCUDA ") != std::string::npos);
  CHECK(text.back() != '\n');
}

TEST_CASE("the version counts the GPUs", "[core][cuda]") {
  if (no_cuda_device()) return;
  CHECK(sdtorch::version_text().find(" device") != std::string::npos);
  CHECK(sdtorch::version_text().find("no device") == std::string::npos);
}
