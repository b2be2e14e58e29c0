#include "nn/attention.hpp"

#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/tolerance.hpp"

using namespace sdtorch;

TEST_CASE("attention is softmax(q kᵀ / √d) v over each head", "[nn]") {
  at::manual_seed(3);
  const at::Tensor q = at::randn({2, 5, 12}), k = at::randn({2, 7, 12}), v = at::randn({2, 7, 12});
  const at::Tensor mixed = attention(q, k, v, {.heads = 3});
  for (int64_t head = 0; head < 3; ++head) {
    const auto of_head = [&](const at::Tensor& x) { return x.narrow(2, 4 * head, 4); };
    const at::Tensor scores = at::softmax(of_head(q).matmul(of_head(k).transpose(1, 2)) / 2.0, -1);
    CHECK(relative_error(of_head(mixed), scores.matmul(of_head(v))) < tolerance::tensor_relative);
  }
}

TEST_CASE("a causal position sees nothing after it", "[nn]") {
  at::manual_seed(4);
  at::Tensor x = at::randn({1, 6, 8});
  const at::Tensor before = attention(x, x, x, {.heads = 2, .causal = true});
  x = x.clone();
  x.narrow(1, 4, 2).add_(100);
  const at::Tensor after = attention(x, x, x, {.heads = 2, .causal = true});
  CHECK(relative_error(after.narrow(1, 0, 4), before.narrow(1, 0, 4)) < tolerance::tensor_relative);
  CHECK(relative_error(after.narrow(1, 4, 2), before.narrow(1, 4, 2)) > 1);
}

TEST_CASE("attention is differentiable", "[nn]") {
  const at::Tensor x = at::randn({1, 4, 6}).set_requires_grad(true);
  attention(x, x, x, {.heads = 2}).square().sum().backward();
  CHECK(x.grad().abs().sum().item<double>() > 0);
}
