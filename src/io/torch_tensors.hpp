// The tensors in a pickle that torch.save wrote, described but not made: what the functions of torch._utils
// (https://github.com/pytorch/pytorch/blob/v2.13.0/torch/_utils.py) would have been called with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/dtype.hpp"
#include "io/pickle.hpp"

namespace sdtorch {

/// Bytes that several tensors may share.
struct TorchStorage {
  std::string key;              ///< names it within the file
  const Dtype* type = nullptr;  ///< uint8 where the file leaves the type to the tensors
  uint64_t elements = 0;

  uint64_t bytes() const { return elements * type->bytes(); }  ///< fits into 63 bits
};

struct TorchTensor {
  std::vector<std::string> path{};  ///< keys and indexes from the pickle's root: {"state_dict", "conv.weight"}
  const Dtype* type = nullptr;
  size_t storage = 0;              ///< index of its storage
  int64_t offset = 0;              ///< of its first element in the storage, in elements
  std::vector<int64_t> shape{};    ///< up to 64 axes
  std::vector<int64_t> strides{};  ///< in elements, none negative; 0 repeats
  bool conjugate = false;          ///< the tensor is the complex conjugate of what is stored
  bool negative = false;           ///< the tensor is the negative of what is stored

  /// Why it cannot be made (a quantised tensor, …), empty for all others. All other fields but path are unset then.
  std::string refusal{};
};

/// What is no None, no boolean, no number, no short string and no short list of numbers.
struct TorchOther {
  bool operator==(const TorchOther&) const = default;
};

/// What a pickle holds beside its tensors; None is the first, and a tuple is a list.
using TorchValue = std::variant<std::monostate, bool, double, std::string, std::vector<double>, TorchOther>;

struct TorchTensors {
  std::vector<TorchTensor> tensors{};          ///< in the pickle's order
  std::vector<TorchStorage> storages{};        ///< in the order in which tensors first use them
  std::map<std::string, TorchValue> values{};  ///< all that is right below the root under a short string

  /// Numbers, booleans and short strings in dicts: of the root, under "", and of those in it by their keys, joined by
  /// dots, up to four deep.
  std::map<std::string, std::map<std::string, std::string>> scalars{};
};

struct TorchSearch {
  bool all_storages = false;  ///< also of what is no part of the tree, such as tensors in sets; behind the others
};

/// Finds all tensors in dicts, lists, tuples and objects' states (`_parameters`, `_buffers` and `_modules` of a module
/// saved whole leave no trace in the path). Every tensor lies within its storage.
/// Throws ErrorKind::model naming the tensor, and where the tree is deeper or larger, or its names are longer, than any
/// checkpoint's.
TorchTensors find_torch_tensors(const Pickle& pickle, const std::string& file, const TorchSearch& search = {});

/// The path as a name, joined by dots.
std::string joined(const std::vector<std::string>& path);

}  // namespace sdtorch
