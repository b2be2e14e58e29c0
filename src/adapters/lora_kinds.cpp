#include "adapters/lora_kinds.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>

#include "adapters/lora_low_rank.hpp"
#include "adapters/lora_rotations.hpp"

namespace sdtorch {
namespace {

using Part = LoraTensors::Part;
using Kind = std::vector<WeightChange> (*)(const LoraLayer&, LoraTensors&, const LoraScaling&);

/// The vector of (IA)³ as a factor that broadcasts over the weight; `axis` 0: of outputs.
at::Tensor along(const Part& part, const at::Tensor& weight, int64_t axis) {
  std::vector<int64_t> shape(static_cast<size_t>(weight.dim()), 1);
  shape[static_cast<size_t>(axis)] = weight.size(axis);
  return as_fp32(part, weight).view(shape);
}

void expect_vector(const Part& part, const LoraLayer& layer, int64_t axis) {
  expect(
      layer.weight && layer.weight->size() >= 2 && part.tensor.numel() == layer.weight->at(static_cast<size_t>(axis)),
      part,
      fmt::format("{} is not one number an {} of the layer", shape_text(part.tensor.sizes()),
                  axis == 0 ? "output" : "input"));
}

/// LyCORIS's: W·(1 + w·l), l being of the inputs or of the outputs.
std::vector<WeightChange> ia3_change(const LoraLayer& layer, LoraTensors& tensors, const LoraScaling&) {
  const Part vector = tensors.take("weight");
  const std::optional<double> on_input = tensors.take_number("on_input");
  if (!on_input) throw LoraMisfit{.key = vector.key, .reason = "the on_input that belongs to it is missing"};
  const int64_t axis = *on_input != 0 ? 1 : 0;
  expect_vector(vector, layer, axis);
  return {{.component = layer.component,
           .key = layer.module + ".weight",
           .difference = [=](const at::Tensor& weight, double scale) {
             return weight * along(vector, weight, axis) * scale;
           }}};
}

/// PEFT's: W·l and, of outputs, the bias too.
std::vector<WeightChange> peft_ia3_change(const LoraLayer& layer, LoraTensors& tensors, const LoraScaling&) {
  const Part vector = tensors.take("peft_ia3", 2);
  // [1, in] and [out, 1] of matrices; both [1, n, 1, 1] of convolutions, where only the length tells.
  const bool matrix = vector.tensor.dim() == 2;
  const bool fits_outputs = layer.weight && !layer.weight->empty() && vector.tensor.numel() == layer.weight->front();
  const int64_t axis = matrix ? (vector.tensor.size(0) == 1 && !(fits_outputs && vector.tensor.numel() == 1) ? 1 : 0)
                              : (fits_outputs ? 0 : 1);
  expect_vector(vector, layer, axis);
  std::vector<WeightChange> changes;
  changes.push_back({.component = layer.component,
                     .key = layer.module + ".weight",
                     .difference = [=](const at::Tensor& weight, double scale) {
                       return weight * (along(vector, weight, axis) - 1) * scale;
                     }});
  if (axis == 0 && layer.bias) {
    changes.push_back({.component = layer.component,
                       .key = layer.module + ".bias",
                       .difference = [=](const at::Tensor& bias, double scale) {
                         return bias * (as_fp32(vector, bias).flatten() - 1) * scale;
                       }});
  }
  return changes;
}

/// The whole difference of a tensor that the layer has.
WeightChange whole_difference(const LoraLayer& layer, const char* name,
                              const std::optional<std::vector<int64_t>>& shape, const Part& part) {
  expect(shape.has_value(), part, fmt::format("the layer has no {}", name));
  std::vector<int64_t> found = part.tensor.sizes().vec(), wanted = *shape;
  while (found.size() > 1 && found.back() == 1) found.pop_back();  // a matrix may be kept as a 1×1 convolution
  while (wanted.size() > 1 && wanted.back() == 1) wanted.pop_back();
  expect(found == wanted, part,
         fmt::format("expected {}, found {}", shape_text(*shape), shape_text(part.tensor.sizes())));
  return {.component = layer.component,
          .key = fmt::format("{}.{}", layer.module, name),
          .difference = [part](const at::Tensor& weight, double scale) {
            return (as_fp32(part, weight) * scale).view_as(weight);
          }};
}

std::vector<WeightChange> difference_change(const LoraLayer& layer, LoraTensors& tensors, const LoraScaling&) {
  return {whole_difference(layer, "weight", layer.weight, tensors.take(tensors.has("diff") ? "diff" : "w_norm"))};
}

/// The kind that a part belongs to.
struct KindRow {
  std::string_view part, name;
  Kind read;
};

constexpr KindRow kind_rows[] = {
    {"lora_down", "LoRA", lora_change},
    {"lora_up", "LoRA", lora_change},
    {"lora_embedding_down", "LoRA", lora_change},
    {"lora_embedding_up", "LoRA", lora_change},
    {"hada_w1_a", "LoHa", loha_change},
    {"hada_w1_b", "LoHa", loha_change},
    {"hada_w2_a", "LoHa", loha_change},
    {"hada_w2_b", "LoHa", loha_change},
    {"lokr_w1", "LoKr", lokr_change},
    {"lokr_w1_a", "LoKr", lokr_change},
    {"lokr_w1_b", "LoKr", lokr_change},
    {"lokr_w2", "LoKr", lokr_change},
    {"lokr_w2_a", "LoKr", lokr_change},
    {"lokr_w2_b", "LoKr", lokr_change},
    {"glora_a1", "GLoRA", glora_change},
    {"glora_a2", "GLoRA", glora_change},
    {"glora_b1", "GLoRA", glora_change},
    {"glora_b2", "GLoRA", glora_change},
    {"oft_blocks", "OFT", rotation_change},
    {"oft_diag", "OFT", rotation_change},
    {"peft_oft", "OFT", peft_rotation_change},
    {"peft_boft", "BOFT", peft_rotation_change},
    {"weight", "(IA)³", ia3_change},
    {"on_input", "(IA)³", ia3_change},
    {"peft_ia3", "(IA)³", peft_ia3_change},
    {"diff", "a difference", difference_change},
    {"w_norm", "a difference", difference_change},
};

/// The one kind of the parts, or none.
const KindRow* kind_of(const LoraTensors& tensors) {
  const KindRow* found = nullptr;
  for (const KindRow& row : kind_rows) {
    if (!tensors.has(row.part)) continue;
    if (found && found->read != row.read) {
      throw LoraMisfit{
          .key = tensors.rest().find(row.part)->second.key,
          .reason = fmt::format("is of the kind {}, beside a {} for the same layer", row.name, found->name),
          .broken = true};
    }
    found = &row;
  }
  return found;
}

/// What changes a layer as it stands.
std::vector<WeightChange> changes_of(const LoraLayer& layer, LoraTensors tensors, const LoraScaling& scaling) {
  std::vector<WeightChange> changes;
  for (const char* part : {"diff_b", "b_norm"}) {
    if (const auto bias = tensors.take_if(part)) {
      changes.push_back(whole_difference(layer, "bias", layer.bias, *bias));
    }
  }
  if (const KindRow* kind = kind_of(tensors)) {
    std::ranges::move(kind->read(layer, tensors, scaling), std::back_inserter(changes));
    tensors.take_number("alpha");  // some tools write one whatever the kind
  }
  if (!tensors.empty()) {
    const auto& [part, rest] = *tensors.rest().begin();
    throw LoraMisfit{.key = rest.key, .reason = fmt::format("is a {} without what it belongs to", part)};
  }
  return changes;
}

constexpr int64_t latent_channels = 4;

/// Whether the layer takes a latent and more: the first of a U-Net that inpaints, follows instructions or sees depth.
bool takes_more_than_latents(const LoraLayer& layer) {
  return layer.component == "unet" && layer.module == "conv_in" && layer.weight && layer.weight->size() == 4 &&
         layer.weight->at(1) > latent_channels;
}

/// The change of a layer of four channels, of one that has more behind them.
WeightChange of_first_channels(WeightChange change) {
  if (!change.key.ends_with(".weight")) return change;
  change.difference = [inner = std::move(change.difference)](const at::Tensor& weight, double scale) {
    at::Tensor padded = at::zeros_like(weight);
    padded.narrow(1, 0, latent_channels).copy_(inner(weight.narrow(1, 0, latent_channels).contiguous(), scale));
    return padded;
  };
  return change;
}

}  // namespace

std::vector<WeightChange> lora_changes(const LoraLayer& layer, const LoraTensors& tensors, const LoraScaling& scaling) {
  try {
    return changes_of(layer, tensors, scaling);
  } catch (const LoraMisfit&) {
    if (!takes_more_than_latents(layer)) throw;
  }
  // Made for a model that draws from text alone: it has nothing to say of the other channels, as in A1111.
  LoraLayer narrower = layer;
  narrower.weight->at(1) = latent_channels;
  std::vector<WeightChange> changes = changes_of(narrower, tensors, scaling);
  for (WeightChange& change : changes) change = of_first_channels(std::move(change));
  return changes;
}

}  // namespace sdtorch
