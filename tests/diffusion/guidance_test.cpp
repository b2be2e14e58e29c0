#include "diffusion/guidance.hpp"

#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/tolerance.hpp"

using sdtorch::guide;
using sdtorch::rescaled;

TEST_CASE("guidance and its rescaling are diffusers'", "[diffusion]") {
  const auto golden = load_golden("diffusion/guidance");
  const at::Tensor &uncond = golden.at("uncond"), &cond = golden.at("cond");
  for (const auto& [scale, rescale, name] : {std::tuple{0.0, 0.0, "0.0"},
                                             {0.0, 0.7, "0.0.7"},
                                             {0.0, 1.0, "0.1"},
                                             {1.0, 0.0, "1.0"},
                                             {1.0, 0.7, "1.0.7"},
                                             {1.0, 1.0, "1.1"},
                                             {7.5, 0.0, "7.5.0"},
                                             {7.5, 0.7, "7.5.0.7"},
                                             {7.5, 1.0, "7.5.1"}}) {
    INFO(name);
    CHECK(relative_error(rescaled(guide(uncond, cond, scale), cond, rescale), golden.at(name)) <
          tolerance::tensor_relative);
  }
}

TEST_CASE("rescaled guidance looks at each image alone", "[diffusion]") {
  const auto golden = load_golden("diffusion/guidance");
  const at::Tensor &uncond = golden.at("uncond"), &cond = golden.at("cond");
  const at::Tensor batch = rescaled(guide(uncond, cond, 7.5), cond, 0.7);
  for (int64_t k = 0; k < batch.size(0); ++k) {
    const auto only = [k](const at::Tensor& x) { return x.slice(0, k, k + 1); };
    const at::Tensor alone = rescaled(guide(only(uncond), only(cond), 7.5), only(cond), 0.7);
    CHECK(at::allclose(alone, only(batch), 1e-6, 1e-6));
  }
}
