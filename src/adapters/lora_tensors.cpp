#include "adapters/lora_tensors.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <utility>

namespace sdtorch {

void LoraTensors::add(const std::string& part, Part tensor) {
  if (first_key_.empty()) first_key_ = tensor.key;
  const auto found = parts_.find(part);
  if (found == parts_.end()) {
    parts_.emplace(part, std::move(tensor));
    return;
  }
  // Some files have every tensor twice, by diffusers' names and the original code's.
  const at::Tensor& first = found->second.tensor;
  if (first.scalar_type() == tensor.tensor.scalar_type() && first.equal(tensor.tensor)) return;
  throw LoraMisfit{.key = tensor.key,
                   .reason = fmt::format("is for the same place as {}, with other numbers", found->second.key),
                   .broken = true};
}

LoraTensors::Part LoraTensors::extract(std::string_view part) {
  const auto found = parts_.find(part);
  if (found == parts_.end()) {
    throw LoraMisfit{.key = first_key_, .reason = fmt::format("the {} that belongs to it is missing", part)};
  }
  return std::move(parts_.extract(found).mapped());
}

LoraTensors::Part LoraTensors::take(std::string_view part, int64_t dims) {
  Part taken = extract(part);
  const at::Tensor& tensor = taken.tensor;
  const auto check = [&](bool holds, const std::string& reason) {
    if (!holds) throw LoraMisfit{.key = taken.key, .reason = reason, .broken = true};
  };
  check(tensor.is_floating_point(), fmt::format("is of type {}", c10::toString(tensor.scalar_type())));
  check(tensor.dim() >= dims, fmt::format("has the shape {}", shape_text(tensor.sizes())));
  check(tensor.numel() > 0, fmt::format("is empty: {}", shape_text(tensor.sizes())));
  const size_t stored = tensor.storage().nbytes() / tensor.itemsize();
  check(static_cast<size_t>(tensor.numel()) <= stored,
        fmt::format("{} are more numbers than the file has for it", shape_text(tensor.sizes())));
  if (tensor.itemsize() == 1) taken.tensor = tensor.to(at::kFloat);  // 8-bit floats can be converted, and little else
  check(at::isfinite(tensor).all().item<bool>(), "has numbers that are not finite");
  return taken;
}

std::optional<LoraTensors::Part> LoraTensors::take_if(std::string_view part, int64_t dims) {
  if (!has(part)) return std::nullopt;
  return take(part, dims);
}

std::optional<double> LoraTensors::take_number(std::string_view part) {
  if (!has(part)) return std::nullopt;
  const Part taken = extract(part);
  const at::Tensor& tensor = taken.tensor;
  if (tensor.numel() != 1 || tensor.is_complex()) {
    throw LoraMisfit{.key = taken.key,
                     .reason = fmt::format("a number was expected, found {} {}", c10::toString(tensor.scalar_type()),
                                           shape_text(tensor.sizes())),
                     .broken = true};
  }
  const auto number = tensor.to(at::kDouble).item<double>();
  if (!std::isfinite(number)) throw LoraMisfit{.key = taken.key, .reason = "is not finite", .broken = true};
  return number;
}

void expect(bool holds, const LoraTensors::Part& part, const std::string& reason) {
  if (!holds) throw LoraMisfit{.key = part.key, .reason = reason};
}

std::string shape_text(at::IntArrayRef shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

at::Tensor as_fp32(const LoraTensors::Part& part, const at::Tensor& weight) {
  return part.tensor.to(weight.device(), at::kFloat);
}

}  // namespace sdtorch
