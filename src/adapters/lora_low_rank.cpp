#include "adapters/lora_low_rank.hpp"

#include <fmt/format.h>

#include <functional>
#include <limits>
#include <utility>

namespace sdtorch {
namespace {

using Part = LoraTensors::Part;
using Shape = std::vector<int64_t>;
/// The weight as the model has it → ΔW, of its shape, before α.
using Delta = std::function<at::Tensor(const at::Tensor& weight)>;

Shape weight_shape(const LoraLayer& layer, const Part& part) {
  expect(layer.weight.has_value(), part, "the layer has no weight");
  expect(layer.weight->size() >= 2, part, fmt::format("the weight {} is no matrix", shape_text(*layer.weight)));
  return *layer.weight;
}

/// Numbers of one output.
int64_t inner_size(const Shape& shape) { return c10::multiply_integers(shape.begin() + 1, shape.end()); }

void expect_shape(const Part& part, at::IntArrayRef wanted) {
  expect(part.tensor.sizes() == wanted, part,
         fmt::format("expected {}, found {}", shape_text(wanted), shape_text(part.tensor.sizes())));
}

/// As a matrix of so many rows and columns; a convolution's trailing axes are joined.
void expect_matrix(const Part& part, int64_t rows, int64_t columns) {
  expect(part.tensor.size(0) == rows && part.tensor.numel() / rows == columns, part,
         fmt::format("expected {}, found {}", shape_text({rows, columns}), shape_text(part.tensor.sizes())));
}

/// What leads from the inputs to the rank: [r, in] or [r, in, kh, kw] of the weight's own kernel, or that joined.
void expect_down(const Part& down, const Shape& shape) {
  Shape wanted = shape;
  wanted[0] = down.tensor.size(0);
  Shape found = down.tensor.sizes().vec();
  const Shape joined = {wanted[0], inner_size(shape)};
  while (found.size() > 2 && found.back() == 1) found.pop_back();
  Shape kernel = wanted;
  while (kernel.size() > 2 && kernel.back() == 1) kernel.pop_back();
  expect(found == kernel || found == joined, down,
         fmt::format("expected {}, found {}", shape_text(wanted), shape_text(down.tensor.sizes())));
}

/// The factors of a convolution in Tucker's form: core [r₁, r₂, kh, kw], out_factor [r₁, out], in_factor [r₂, in].
at::Tensor tucker(const at::Tensor& core, const at::Tensor& out_factor, const at::Tensor& in_factor) {
  return at::einsum("mn...,mi,nj->ij...", {core, out_factor, in_factor});
}

void expect_core(const Part& core, int64_t first, int64_t second, const Shape& shape) {
  Shape wanted = shape;
  wanted[0] = first;
  wanted[1] = second;
  expect_shape(core, wanted);
}

/// DoRA's magnitudes (Liu et al. 2024), one an output or one an input.
struct Magnitudes {
  Part part{};
  bool of_outputs = true;

  /// m·V/‖V‖
  at::Tensor apply(const at::Tensor& v) const {
    const int64_t axis = of_outputs ? 0 : 1;
    // LyCORIS's, so that a row of zeros stays one.
    const at::Tensor norms = v.transpose(0, axis).flatten(1).norm(2, {1}) + std::numeric_limits<float>::epsilon();
    Shape broadcast(static_cast<size_t>(v.dim()), 1);
    broadcast[static_cast<size_t>(axis)] = v.size(axis);
    return v * (as_fp32(part, v).flatten() / norms).view(broadcast);
  }
};

/// The axis is told by the shape: [out, 1, …] or [1, in, …]. PEFT's are of outputs always: [out], [1, out, 1, 1].
std::optional<Magnitudes> take_magnitudes(LoraTensors& tensors, const Shape& shape) {
  const bool peft = tensors.has("magnitude");
  std::optional<Part> part = tensors.take_if(peft ? "magnitude" : "dora_scale");
  if (!part) return std::nullopt;
  const at::Tensor& m = part->tensor;
  const bool row = m.dim() > 1 && m.size(0) == 1;
  const bool fits_outputs = m.numel() == shape[0], fits_inputs = m.numel() == shape[1] && !peft;
  expect(fits_outputs || fits_inputs, *part,
         fmt::format("{} are neither the outputs nor the inputs of {}", shape_text(m.sizes()), shape_text(shape)));
  const bool of_inputs = fits_inputs && (!fits_outputs || (row && m.size(1) == shape[1]));
  return Magnitudes{.part = *std::move(part), .of_outputs = !of_inputs};
}

/// The change of a layer's weight by a difference, at what α, magnitudes and other factors the tensors have with it.
WeightChange change_by(const LoraLayer& layer, LoraTensors& tensors, Delta delta, double factor) {
  if (const auto scalar = tensors.take_number("scalar")) factor *= *scalar;  // LyCORIS before 2.0
  std::optional<Magnitudes> magnitudes = take_magnitudes(tensors, *layer.weight);
  WeightChange change{.component = layer.component, .key = layer.module + ".weight"};
  if (!magnitudes) {
    change.difference = [delta = std::move(delta), factor](const at::Tensor& weight, double scale) {
      return delta(weight).mul_(factor * scale);
    };
  } else {
    // LyCORIS scales V's own length for scales other than 1; here, as ComfyUI does, all that it changes.
    change.difference = [delta = std::move(delta), factor, magnitudes = *std::move(magnitudes)](
                            const at::Tensor& weight, double scale) {
      return magnitudes.apply(delta(weight).mul_(factor).add_(weight)).sub_(weight).mul_(scale);
    };
  }
  return change;
}

/// The factor before ΔW: `scale` says it outright, else α and the rank do.
double factor_of(const LoraLayer& layer, LoraTensors& tensors, const LoraScaling& scaling, LoraScaling::Given given) {
  given.alpha = tensors.take_number("alpha");
  const std::optional<double> outright = tensors.take_number("scale");
  return outright ? *outright : scaling.factor(layer, given);
}

WeightChange bias_change(const LoraLayer& layer, Part bias, double factor) {
  expect(layer.bias.has_value() && bias.tensor.sizes() == *layer.bias, bias,
         fmt::format("{} is not the shape of the layer's bias", shape_text(bias.tensor.sizes())));
  return {.component = layer.component,
          .key = layer.module + ".bias",
          .difference = [bias = std::move(bias), factor](const at::Tensor& weight, double scale) {
            return as_fp32(bias, weight) * (factor * scale);
          }};
}

/// PEFT's of an embedding: up [width, r], down [r, count].
std::vector<WeightChange> embedding_change(const LoraLayer& layer, LoraTensors& tensors, const LoraScaling& scaling) {
  const Part down = tensors.take("lora_embedding_down", 2), up = tensors.take("lora_embedding_up", 2);
  const Shape shape = weight_shape(layer, down);
  const int64_t rank = down.tensor.size(0);
  expect_matrix(down, rank, shape[0]);
  expect_matrix(up, inner_size(shape), rank);
  const double factor = factor_of(layer, tensors, scaling, {.rank = rank});
  return {change_by(
      layer, tensors,
      [=](const at::Tensor& weight) { return as_fp32(up, weight).mm(as_fp32(down, weight)).t().contiguous(); },
      factor)};
}

/// One of LoHa's two factors of shape's size.
class HadamardFactor {
 public:
  HadamardFactor(LoraTensors& tensors, const Shape& shape, const std::string& number)
      : a_(tensors.take("hada_w" + number + "_a", 2)),
        b_(tensors.take("hada_w" + number + "_b", 2)),
        core_(tensors.take_if("hada_t" + number, 2)) {
    if (core_) {
      expect_matrix(a_, a_.tensor.size(0), shape[0]);
      expect_matrix(b_, b_.tensor.size(0), shape[1]);
      expect_core(*core_, a_.tensor.size(0), b_.tensor.size(0), shape);
    } else {
      expect_matrix(a_, shape[0], b_.tensor.size(0));
      expect_down(b_, shape);
    }
  }

  int64_t rank() const { return b_.tensor.size(0); }

  at::Tensor make(const at::Tensor& weight) const {
    const at::Tensor a = as_fp32(a_, weight).flatten(1), b = as_fp32(b_, weight).flatten(1);
    return core_ ? tucker(as_fp32(*core_, weight), a, b) : a.mm(b).view_as(weight);
  }

 private:
  Part a_, b_;
  std::optional<Part> core_;
};

/// One of LoKr's two factors, as a matrix: whole, a product, or in Tucker's form.
class KroneckerFactor {
 public:
  KroneckerFactor(LoraTensors& tensors, const Shape& shape, const std::string& number) {
    const std::string name = "lokr_w" + number;
    if (tensors.has(name)) {
      a_ = tensors.take(name, 2);
      rows_ = a_.tensor.size(0);
      columns_ = a_.tensor.numel() / rows_;
      return;
    }
    a_ = tensors.take(name + "_a", 2);
    b_ = tensors.take(name + "_b", 2);
    core_ = tensors.take_if("lokr_t" + number, 2);
    if (core_) {
      expect_core(*core_, a_.tensor.size(0), b_->tensor.size(0), shape);
      rows_ = a_.tensor.numel() / a_.tensor.size(0);
      columns_ = b_->tensor.numel() / b_->tensor.size(0) * (inner_size(shape) / shape[1]);
    } else {
      expect_matrix(a_, a_.tensor.size(0), b_->tensor.size(0));
      rows_ = a_.tensor.size(0);
      columns_ = b_->tensor.numel() / b_->tensor.size(0);
    }
  }

  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }
  const Part& part() const { return a_; }
  std::optional<int64_t> rank() const { return b_ ? std::optional(b_->tensor.size(0)) : std::nullopt; }

  at::Tensor make(const at::Tensor& weight) const {
    const at::Tensor a = as_fp32(a_, weight).flatten(1);
    if (!b_) return a;
    const at::Tensor b = as_fp32(*b_, weight).flatten(1);
    return core_ ? tucker(as_fp32(*core_, weight), a, b).flatten(1) : a.mm(b);
  }

 private:
  Part a_{};
  std::optional<Part> b_{}, core_{};
  int64_t rows_ = 0, columns_ = 0;
};

}  // namespace

std::vector<WeightChange> lora_change(const LoraLayer& layer, LoraTensors& tensors, const LoraScaling& scaling) {
  if (tensors.has("lora_embedding_down") || tensors.has("lora_embedding_up")) {
    return embedding_change(layer, tensors, scaling);
  }
  const Part down = tensors.take("lora_down", 2), up = tensors.take("lora_up", 2);
  const std::optional<Part> mid = tensors.take_if("lora_mid", 2);
  const Shape shape = weight_shape(layer, down);
  const int64_t rank = down.tensor.size(0);
  if (mid) {
    expect_matrix(down, rank, shape[1]);
    expect_matrix(up, shape[0], up.tensor.size(1));
    expect_core(*mid, up.tensor.size(1), rank, shape);
  } else {
    expect_down(down, shape);
    expect_matrix(up, shape[0], rank);
  }
  const double factor = factor_of(layer, tensors, scaling, {.rank = rank});
  std::vector<WeightChange> changes;
  if (auto bias = tensors.take_if("lora_bias")) changes.push_back(bias_change(layer, *std::move(bias), factor));
  changes.push_back(change_by(
      layer, tensors,
      [=](const at::Tensor& weight) {
        const at::Tensor b = as_fp32(up, weight).flatten(1), a = as_fp32(down, weight).flatten(1);
        return mid ? tucker(as_fp32(*mid, weight), b.t(), a) : b.mm(a).view_as(weight);
      },
      factor));
  return changes;
}

std::vector<WeightChange> loha_change(const LoraLayer& layer, LoraTensors& tensors, const LoraScaling& scaling) {
  const Shape shape = weight_shape(layer, tensors.rest().begin()->second);
  const HadamardFactor first(tensors, shape, "1"), second(tensors, shape, "2");
  // LyCORIS's merging multiplies by α/r twice, its layers while they run, and the paper, once.
  const double factor = factor_of(layer, tensors, scaling, {.rank = first.rank()});
  return {change_by(
      layer, tensors, [=](const at::Tensor& weight) { return first.make(weight).mul_(second.make(weight)); }, factor)};
}

std::vector<WeightChange> lokr_change(const LoraLayer& layer, LoraTensors& tensors, const LoraScaling& scaling) {
  const Shape shape = weight_shape(layer, tensors.rest().begin()->second);
  const KroneckerFactor first(tensors, shape, "1"), second(tensors, shape, "2");
  const int64_t out = shape[0], in = inner_size(shape);
  expect(out % first.rows() == 0 && out / first.rows() == second.rows() && in % first.columns() == 0 &&
             in / first.columns() == second.columns(),
         first.part(),
         fmt::format("{} ⊗ {} is not {}", shape_text({first.rows(), first.columns()}),
                     shape_text({second.rows(), second.columns()}), shape_text(shape)));
  const std::optional<int64_t> rank = second.rank() ? second.rank() : first.rank();
  double factor = 1;
  if (rank) {
    factor = factor_of(layer, tensors, scaling, {.rank = *rank});
  } else {
    tensors.take_number("alpha");
    const std::optional<int64_t> configured = scaling.configured_rank(layer);  // PEFT divides by it even so
    if (configured && *configured > 0) factor = scaling.factor(layer, {.rank = *configured});
    if (const auto outright = tensors.take_number("scale")) factor = *outright;
  }
  return {change_by(
      layer, tensors,
      [=](const at::Tensor& weight) { return at::kron(first.make(weight), second.make(weight)).view_as(weight); },
      factor)};
}

std::vector<WeightChange> glora_change(const LoraLayer& layer, LoraTensors& tensors, const LoraScaling& scaling) {
  Part a1 = tensors.take("glora_a1", 2), a2 = tensors.take("glora_a2", 2);
  Part b1 = tensors.take("glora_b1", 2), b2 = tensors.take("glora_b2", 2);
  const std::optional<Part> mid = tensors.take_if("glora_bm", 2);
  const Shape shape = weight_shape(layer, a1);
  // LyCORIS before 2.0 had the names of each pair the other way round: there the first leads to the rank.
  if (a1.tensor.size(0) != shape[1] || b1.tensor.size(0) != shape[0]) {
    std::swap(a1, a2);
    std::swap(b1, b2);
  }
  const int64_t rank = a2.tensor.size(0);
  expect_matrix(a1, shape[1], rank);
  expect_matrix(a2, rank, shape[1]);
  if (mid) {
    expect_matrix(b2, b2.tensor.size(0), shape[1]);
    expect_matrix(b1, shape[0], b1.tensor.size(1));
    expect_core(*mid, b1.tensor.size(1), b2.tensor.size(0), shape);
  } else {
    expect_down(b2, shape);
    expect_matrix(b1, shape[0], b2.tensor.size(0));
  }
  const double factor = factor_of(layer, tensors, scaling, {.rank = rank, .alpha_as_given = true});
  const auto delta = [=](const at::Tensor& weight) {
    const at::Tensor left = as_fp32(b1, weight).flatten(1), right = as_fp32(b2, weight).flatten(1);
    at::Tensor sum = mid ? tucker(as_fp32(*mid, weight), left.t(), right) : left.mm(right).view_as(weight);
    const at::Tensor through = as_fp32(a1, weight).flatten(1).mm(as_fp32(a2, weight).flatten(1));  // [in, in]
    return sum.add_(at::einsum("oi...,ij->oj...", {weight, through}));
  };
  return {change_by(layer, tensors, delta, factor)};
}

}  // namespace sdtorch
