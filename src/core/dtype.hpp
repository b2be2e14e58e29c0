// The element types of tensors under all the names that they go by: the one table of them.
#pragma once

#include <c10/core/ScalarType.h>

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sdtorch {

/// A name is empty where there is none.
struct Dtype {
  at::ScalarType type = at::kFloat;
  std::string_view torch{};        ///< in Python, without `torch.`: float16
  std::string_view short_name{};   ///< of `--dtype`, and how we print it: fp16
  std::string_view safetensors{};  ///< in the header of a safetensors file: F16
  std::string_view storage{};      ///< PyTorch's class of storages, in its pickles: HalfStorage

  /// Of one element.
  size_t bytes() const { return c10::elementSize(type); }
};

/// All of them.
std::span<const Dtype> dtypes();

/// nullptr where it is none of them.
const Dtype* find_dtype(at::ScalarType type);

/// By its name in one column, such as `find_dtype(&Dtype::safetensors, "F16")`, or nullptr.
const Dtype* find_dtype(std::string_view Dtype::*column, std::string_view name);

/// fp32, fp16 and bf16, in which the networks compute; nothing for another name.
std::optional<at::ScalarType> find_compute_dtype(std::string_view name);

/// The short name, or LibTorch's own where there is none.
std::string dtype_name(at::ScalarType type);

}  // namespace sdtorch
