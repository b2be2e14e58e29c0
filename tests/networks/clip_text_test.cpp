#include "networks/clip_text.hpp"

#include <ATen/ATen.h>

#include "core/error.hpp"
#include "networks/golden_network.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/tolerance.hpp"

using namespace sdtorch;

TEST_CASE("CLIP's text encoder equals transformers'", "[networks]") {
  for (const char* name : {"clip_quick_gelu", "clip_gelu", "clip_deep"}) {
    const GoldenNetwork golden = load_golden_network(name);
    check_exact(golden, run_clip, tolerance::tensor_relative);
    check_half_types(golden, run_clip);
  }
}

TEST_CASE("CLIP's pooled text and penultimate states equal transformers'", "[networks]") {
  for (const char* name : {"clip_projection", "clip_projection_old"}) {
    check_exact(load_golden_network(golden_path("families"), name), run_projecting_clip, tolerance::tensor_relative);
  }
}

TEST_CASE("CLIP's text encoder has no embedding for other tokens and longer texts", "[networks]") {
  ClipTextModel model(ClipTextConfig::from_json(
      {{"vocab_size", 10}, {"hidden_size", 8}, {"num_attention_heads", 2}, {"max_position_embeddings", 4}}, "config"));
  for (const int64_t token : {int64_t{-1}, int64_t{10}, int64_t{1} << 40}) {
    const at::Tensor tokens = at::tensor({int64_t{3}, token}).unsqueeze(0);
    CHECK_THROWS_WITH(model.forward(tokens),
                      Catch::Contains("token " + std::to_string(token)) && Catch::Contains("vocabulary of 10"));
  }
  CHECK_THROWS_WITH(model.forward(at::zeros({1, 5}, at::kLong)),
                    Catch::Contains("5 tokens, but max_position_embeddings is 4"));
}
