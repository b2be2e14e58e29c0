#include "adapters/lora_rotations.hpp"

#include <fmt/format.h>

#include <cmath>
#include <functional>
#include <utility>

namespace sdtorch {
namespace {

using Part = LoraTensors::Part;

/// Rotations as the file describes them, stacked: […, n, n], in double: a badly conditioned I − Q costs digits.
using Rotations = std::function<at::Tensor(const at::Tensor& weight)>;

at::Tensor identity(int64_t size, const at::Tensor& like) { return at::eye(size, like.options().dtype(at::kDouble)); }

at::Tensor in_double(const Part& part, const at::Tensor& weight) {
  return part.tensor.to(weight.device(), at::kDouble);
}

/// (I + Q)(I − Q)⁻¹
at::Tensor cayley(const at::Tensor& q) {
  const at::Tensor one = identity(q.size(-1), q);
  return at::linalg_solve(one - q, one + q, /*left=*/false);
}

/// I + w·(R − I)
at::Tensor towards_identity(const at::Tensor& rotations, double scale) {
  const at::Tensor one = identity(rotations.size(-1), rotations);
  return one + (rotations - one) * scale;
}

/// How far the rotations may go: the largest norm of all Q together.
struct Limit {
  std::optional<double> norm{};

  at::Tensor apply(const at::Tensor& q) const {
    if (!norm) return q;
    const double found = q.norm().item<double>();
    return found > *norm ? q * (*norm / found) : q;
  }
};

Limit limit_of(std::optional<double> alpha, int64_t outputs, bool kohya, const Part& part) {
  if (!alpha) return {};
  expect(*alpha >= 0, part, "its alpha, which limits it, is negative");
  if (*alpha == 0 && !kohya) return {};
  return {.norm = *alpha * static_cast<double>(outputs)};
}

/// Block k of the rows becomes R_kᵀ of it. rotations [k, n, n]; w [k·n, in].
at::Tensor turn_blocks(const at::Tensor& rotations, const at::Tensor& w) {
  return at::einsum("knm,knp->kmp", {rotations, w.unflatten(0, {rotations.size(0), rotations.size(1)})}).flatten(0, 1);
}

/// One stage of a butterfly: rows that lie `stride` apart are brought together, turned block by block, and put back.
at::Tensor turn_stage(const at::Tensor& rotations, const at::Tensor& w, int64_t stride) {
  const int64_t n = rotations.size(-1);
  const at::Tensor together = w.unflatten(0, {-1, 2, stride}).transpose(1, 2).flatten(0, 2).unflatten(0, {-1, n});
  const at::Tensor turned = at::einsum("bij,bjp->bip", {rotations, together}).flatten(0, 1);
  return turned.unflatten(0, {-1, stride, 2}).transpose(1, 2).flatten(0, 2);
}

at::Tensor turn(const at::Tensor& rotations, at::Tensor w) {
  if (rotations.dim() == 3) return turn_blocks(rotations, w);
  const int64_t half = rotations.size(-1) / 2;
  for (int64_t stage = 0; stage < rotations.size(0); ++stage) {
    w = turn_stage(rotations[stage], w, half << stage);
  }
  return w;
}

void expect_blocks(const Part& blocks, int64_t outputs) {
  const at::Tensor& b = blocks.tensor;
  const std::string shape = shape_text(b.sizes());
  expect(b.dim() == 3 || b.dim() == 4, blocks, fmt::format("{} are no square blocks", shape));
  const int64_t n = b.size(-1), count = b.size(-3);
  expect(b.size(-2) == n && outputs % n == 0 && outputs / n == count, blocks,
         fmt::format("{} do not make up the layer's {} outputs", shape, outputs));
  if (b.dim() == 3) return;
  constexpr int64_t max_stages = 32;
  expect(n % 2 == 0 && b.size(0) <= max_stages && outputs % (n << (b.size(0) - 1)) == 0, blocks,
         fmt::format("{} are no butterfly of {} outputs", shape, outputs));
}

WeightChange change_of(const LoraLayer& layer, std::function<at::Tensor(const at::Tensor& w, double scale)> turned) {
  return {.component = layer.component,
          .key = layer.module + ".weight",
          .difference = [turned = std::move(turned)](const at::Tensor& weight, double scale) {
            const at::Tensor w = weight.to(at::kDouble).flatten(1);
            return (turned(w, scale) - w).to(at::kFloat).view_as(weight);
          }};
}

int64_t outputs_of(const LoraLayer& layer, const Part& part) {
  expect(layer.weight && layer.weight->size() >= 2, part, "the layer has no matrix to turn");
  return layer.weight->front();
}

/// PEFT's Q, of which a file has the upper triangles.
at::Tensor skew_symmetric(const at::Tensor& upper, int64_t n) {
  at::Tensor q = upper.new_zeros({upper.size(0), n, n});
  const at::Tensor places = at::triu_indices(n, n, 1, at::TensorOptions(at::kLong).device(upper.device()));
  q.index_put_({at::indexing::Slice(), places[0], places[1]}, upper);
  return q - q.transpose(1, 2);
}

/// PEFT's series for (I + Q)(I − Q)⁻¹ ≈ I + 2Q + 2Q² + … + Qᵗ⁻¹ of t terms, 3 being as good as 4; where it is told to
/// take the inverse instead, Q has the other sign.
at::Tensor peft_rotations(const at::Tensor& q, const std::optional<int64_t>& terms) {
  if (!terms) return cayley(-q);
  at::Tensor sum = identity(q.size(-1), q).expand_as(q).clone(), power = q;
  const int64_t count = *terms == 3 ? 4 : *terms;
  for (int64_t exponent = 1; exponent < count; ++exponent) {
    if (exponent > 1) power = power.bmm(q);
    const bool last = exponent > 1 && exponent + 1 == count;
    sum = sum + power * (last ? 1.0 : 2.0);
  }
  return sum;
}

/// COFT: each block's Q no longer than its share.
at::Tensor constrained(const at::Tensor& q, double eps) {
  const double limit = eps / std::sqrt(static_cast<double>(q.size(0)));
  const at::Tensor norms = q.norm(2, {1, 2}, /*keepdim=*/true);
  return at::where(norms > limit, q * (limit / norms.clamp_min(limit)), q);
}

std::vector<WeightChange> peft_oft(const LoraLayer& layer, LoraTensors& tensors, const PeftConfig& config) {
  const Part upper = tensors.take("peft_oft", 2);
  outputs_of(layer, upper);
  const int64_t inputs = c10::multiply_integers(layer.weight->begin() + 1, layer.weight->end());
  const int64_t blocks = upper.tensor.size(0), entries = upper.tensor.numel() / blocks;
  const auto n = static_cast<int64_t>(std::lround((1 + std::sqrt(1 + 8.0 * static_cast<double>(entries))) / 2));
  expect(n * (n - 1) / 2 == entries && inputs % n == 0 && (blocks == 1 || blocks == inputs / n), upper,
         fmt::format("{} do not make up the layer's {} inputs", shape_text(upper.tensor.sizes()), inputs));
  return {change_of(layer, [=](const at::Tensor& w, double scale) {
    at::Tensor q = skew_symmetric(in_double(upper, w).flatten(1), n);
    if (config.constrained) q = constrained(q, config.constraint);
    const at::Tensor r = towards_identity(peft_rotations(q, config.neumann_terms), scale).expand({inputs / n, n, n});
    return at::einsum("okj,kij->oki", {w.unflatten(1, {inputs / n, n}), r}).flatten(1);
  })};
}

/// One stage of PEFT's butterfly: columns that lie `together` half-blocks apart are brought side by side, turned block
/// by block, and put back. w: [out, in]; r: [k, n, n].
at::Tensor turn_columns(const at::Tensor& r, const at::Tensor& w, int64_t together) {
  const int64_t n = r.size(-1), half = n / 2;
  const auto turned = [&](const at::Tensor& columns) {
    return at::einsum("okj,kij->oki", {columns.unflatten(1, {r.size(0), n}), r}).flatten(1);
  };
  if (together == 1) return turned(w);
  const at::Tensor beside = w.unflatten(1, {-1, 2, together, half}).transpose(2, 3).flatten(1);
  return turned(beside).unflatten(1, {-1, together, 2, half}).transpose(2, 3).flatten(1);
}

std::vector<WeightChange> peft_boft(const LoraLayer& layer, LoraTensors& tensors) {
  const Part blocks = tensors.take("peft_boft", 4);
  const std::optional<Part> lengths = tensors.take_if("peft_boft_scale", 1);
  const int64_t outputs = outputs_of(layer, blocks);
  const int64_t inputs = c10::multiply_integers(layer.weight->begin() + 1, layer.weight->end());
  const at::Tensor& b = blocks.tensor;
  constexpr int64_t max_stages = 32;
  const int64_t stages = b.size(0);
  expect(stages <= max_stages && (stages == 1 || (b.size(3) % 2 == 0 && inputs % (b.size(3) << (stages - 1)) == 0)),
         blocks, fmt::format("{} are no butterfly of {} inputs", shape_text(b.sizes()), inputs));
  expect(b.size(2) == b.size(3) && inputs % b.size(3) == 0 && inputs / b.size(3) == b.size(1), blocks,
         fmt::format("{} do not make up the layer's {} inputs", shape_text(b.sizes()), inputs));
  if (lengths) expect(lengths->tensor.numel() == outputs, *lengths, "is not one number an output");
  return {change_of(layer, [=](const at::Tensor& w, double scale) {
    const at::Tensor all = in_double(blocks, w);
    const at::Tensor r = towards_identity(cayley((all.transpose(2, 3) - all) * 0.5), scale);
    at::Tensor turned = w;
    for (int64_t stage = 0; stage < stages; ++stage) turned = turn_columns(r[stage], turned, int64_t{1} << stage);
    return lengths ? turned * in_double(*lengths, w).view({-1, 1}) : turned;
  })};
}

}  // namespace

std::vector<WeightChange> rotation_change(const LoraLayer& layer, LoraTensors& tensors, const LoraScaling& scaling) {
  const bool outright = tensors.has("oft_diag");
  const Part blocks = tensors.take(outright ? "oft_diag" : "oft_blocks", 3);
  const int64_t outputs = outputs_of(layer, blocks);
  expect_blocks(blocks, outputs);
  const std::optional<Part> rescale = tensors.take_if("rescale");
  if (rescale) expect(rescale->tensor.numel() == outputs, *rescale, "is not one number an output");
  const bool kohya = scaling.kohya_oft() || blocks.key.starts_with("oft_unet_");
  const Limit limit = limit_of(tensors.take_number("alpha"), outputs, kohya, blocks);
  return {change_of(layer, [=](const at::Tensor& w, double scale) {
    at::Tensor r = in_double(blocks, w);
    if (!outright) r = cayley(limit.apply(r - r.transpose(-1, -2)));
    const at::Tensor turned = turn(towards_identity(r, scale), w);
    return rescale ? turned * in_double(*rescale, w).view({-1, 1}) : turned;
  })};
}

std::vector<WeightChange> peft_rotation_change(const LoraLayer& layer, LoraTensors& tensors,
                                               const LoraScaling& scaling) {
  if (tensors.has("peft_oft")) return peft_oft(layer, tensors, scaling.peft(layer.component));
  return peft_boft(layer, tensors);
}

}  // namespace sdtorch
