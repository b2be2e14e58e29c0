#include "weights/torch_weights.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "io/torch_file.hpp"
#include "weights/mapped_tensor.hpp"

namespace sdtorch {
namespace {

constexpr std::pair<std::string_view, at::ScalarType> type_names[] = {
    {"float64", at::kDouble},
    {"float32", at::kFloat},
    {"float16", at::kHalf},
    {"bfloat16", at::kBFloat16},
    {"complex128", at::kComplexDouble},
    {"complex64", at::kComplexFloat},
    {"complex32", at::kComplexHalf},
    {"int64", at::kLong},
    {"int32", at::kInt},
    {"int16", at::kShort},
    {"int8", at::kChar},
    {"uint64", at::kUInt64},
    {"uint32", at::kUInt32},
    {"uint16", at::kUInt16},
    {"uint8", at::kByte},
    {"bool", at::kBool},
    {"float8_e4m3fn", at::kFloat8_e4m3fn},
    {"float8_e4m3fnuz", at::kFloat8_e4m3fnuz},
    {"float8_e5m2", at::kFloat8_e5m2},
    {"float8_e5m2fnuz", at::kFloat8_e5m2fnuz},
    {"float8_e8m0fnu", at::kFloat8_e8m0fnu},
    {"float4_e2m1fn_x2", at::kFloat4_e2m1fn_x2},
};

/// Under which keys checkpoints keep the model's weights beside other things, the best first.
constexpr std::string_view wrappers[] = {"state_dict", "model_state_dict", "model", "module", "net"};
constexpr size_t max_wrappers = 4;  // {"module": {"state_dict": …}} has two

/// In the modules of Latent Diffusion (CompVis), saved whole, `model` is no wrapper: it holds the UNet.
constexpr std::string_view unet_wrapper = "model", unet_module = "diffusion_model";

/// Wraps every key of a model that was trained by several processes.
constexpr std::string_view parallel_prefix = "module.";

std::optional<at::ScalarType> scalar_type(std::string_view name) {
  for (const auto& [known, type] : type_names) {
    if (known == name) return type;
  }
  return std::nullopt;
}

/// Bytes of one number: a complex one has two.
size_t number_bytes(at::ScalarType type) {
  return at::isComplexType(type) ? at::elementSize(type) / 2 : at::elementSize(type);
}

/// Makes tensors on the storages of one file, each storage once for all its tensors.
class TensorMaker {
 public:
  TensorMaker(const TorchFile& file, std::shared_ptr<MappedFile> mapped, const LoadOptions& options)
      : file_(file), mapped_(std::move(mapped)), options_(options) {}

  at::Tensor make(const TorchTensor& plan) {
    const std::string name = joined(plan.path);
    const auto fail = [&](const std::string& reason) {
      throw Error(ErrorKind::model, {.file = mapped_->path().string(), .place = name, .reason = reason});
    };
    if (!plan.refusal.empty()) fail(fmt::format("is {}, which is not read", plan.refusal));
    const std::optional<at::ScalarType> type = scalar_type(plan.type->name);
    if (!type) fail(fmt::format("is of type {}, which is not read", plan.type->name));
    const at::Tensor base = storage(plan.storage, *type);
    at::Tensor tensor = at::as_strided(base, plan.shape, plan.strides, plan.offset);
    if (!plan.conjugate && !plan.negative) return tensor;
    if (tensor.numel() > base.numel()) fail("repeats its storage and is to be conjugated or negated");
    if (plan.conjugate) tensor = at::conj_physical(tensor);
    return plan.negative ? at::neg(tensor) : tensor;
  }

 private:
  /// The storage as a vector of numbers of a type.
  at::Tensor storage(size_t index, at::ScalarType type) {
    const auto [found, added] = storages_.try_emplace({index, type});
    if (added) found->second = read(index, type);
    return found->second;
  }

  at::Tensor read(size_t index, at::ScalarType type) {
    const bool verify = options_.verify && verified_.insert(index).second;
    const TorchBytes bytes = file_.bytes(index, verify);
    if (verify && !bytes.unpacked) mapped_->release(bytes.bytes);
    // A byte that is neither 0 nor 1 is no bool to the compiler: booleans are read as numbers.
    const at::ScalarType stored = type == at::kBool ? at::kByte : type;
    const auto count = static_cast<int64_t>(bytes.bytes.size() / at::elementSize(stored));
    if (count == 0) return at::empty({0}, type);
    const size_t swapped = file_.big_endian() ? number_bytes(stored) : 1;
    const bool aligned = reinterpret_cast<uintptr_t>(bytes.bytes.data()) % at::elementSize(stored) == 0;
    if (swapped > 1 || !aligned) {
      at::Tensor copy = at::empty({count}, stored);
      copy_numbers(bytes.bytes, static_cast<std::byte*>(copy.data_ptr()), swapped, copy.nbytes());
      return copy;
    }
    const at::Tensor numbers =
        bytes.unpacked ? on_unpacked(bytes, count, stored) : map_tensor(mapped_, bytes.bytes, {count}, stored);
    return type == at::kBool ? numbers.ne(0) : numbers;
  }

  static at::Tensor on_unpacked(const TorchBytes& bytes, int64_t count, at::ScalarType type) {
    // LibTorch has no tensor of const data; nobody writes through this one.
    return at::from_blob(
        const_cast<std::byte*>(bytes.bytes.data()), {count}, [owner = bytes.unpacked](void*) {},
        at::TensorOptions(type));
  }

  /// Turns the bytes of each number around where it has more than one to turn.
  static void copy_numbers(std::span<const std::byte> from, std::byte* to, size_t number, size_t size) {
    if (number == 1) {
      std::memcpy(to, from.data(), size);
      return;
    }
    for (size_t i = 0; i < size; i += number) std::reverse_copy(from.data() + i, from.data() + i + number, to + i);
  }

  const TorchFile& file_;
  std::shared_ptr<MappedFile> mapped_;
  const LoadOptions& options_;
  std::map<std::pair<size_t, at::ScalarType>, at::Tensor> storages_{};
  std::set<size_t> verified_{};
};

/// The tensors that are the model's weights, and how deep in the paths they lie.
struct Selection {
  std::vector<const TorchTensor*> tensors{};
  size_t depth = 0;  ///< leading segments of the paths that are not part of the names
  std::string found_under{};
};

Selection select_weights(const std::vector<TorchTensor>& all) {
  Selection selection;
  for (const TorchTensor& tensor : all) selection.tensors.push_back(&tensor);
  while (selection.depth < max_wrappers) {
    const size_t depth = selection.depth;
    // A count kept as a tensor (`epoch`) may lie beside the weights; beside a layer called `model` lie its like.
    const auto at_hand = std::count_if(selection.tensors.begin(), selection.tensors.end(),
                                       [&](const TorchTensor* tensor) { return tensor->path.size() <= depth + 1; });
    const bool holds_unet = std::any_of(selection.tensors.begin(), selection.tensors.end(), [&](const auto* tensor) {
      return tensor->path.size() > depth + 1 && tensor->path[depth] == unet_wrapper &&
             tensor->path[depth + 1].starts_with(unet_module);
    });
    const auto* wrapper = std::find_if(std::begin(wrappers), std::end(wrappers), [&](std::string_view name) {
      if (holds_unet && name == unet_wrapper) return false;
      return at_hand <
             std::count_if(
                 selection.tensors.begin(), selection.tensors.end(),
                 [&](const auto* tensor) { return tensor->path.size() > depth + 1 && tensor->path[depth] == name; });
    });
    if (wrapper == std::end(wrappers)) return selection;
    std::erase_if(selection.tensors, [&](const TorchTensor* tensor) {
      return tensor->path.size() <= depth + 1 || tensor->path[depth] != *wrapper;
    });
    selection.found_under += (depth > 0 ? "." : "") + std::string(*wrapper);
    ++selection.depth;
  }
  return selection;
}

/// A tensor that was saved by itself has no name.
std::string name_of_tensor(const TorchTensor& tensor, size_t depth) {
  if (tensor.path.empty()) return "tensor";
  return joined({tensor.path.begin() + static_cast<std::ptrdiff_t>(depth), tensor.path.end()});
}

void drop_parallel_prefix(WeightsFile& weights) {
  const bool everywhere = std::all_of(weights.tensors.begin(), weights.tensors.end(), [](const auto& entry) {
    return entry.first.starts_with(parallel_prefix) && entry.first.size() > parallel_prefix.size();
  });
  if (!everywhere) return;
  StateDict shorter;
  for (auto& [key, value] : weights.tensors) shorter[key.substr(parallel_prefix.size())] = std::move(value);
  weights.tensors = std::move(shorter);
  weights.found_under +=
      (weights.found_under.empty() ? "" : ".") + std::string(parallel_prefix.substr(0, parallel_prefix.size() - 1));
}

}  // namespace

WeightsFile load_torch_weights(const std::shared_ptr<MappedFile>& mapped, WeightsFormat format,
                               const LoadOptions& options) {
  const std::string path = mapped->path().string();
  const TorchFile file(mapped->bytes(), path, format);
  const Selection selection = select_weights(file.contents().tensors);
  WeightsFile weights{.format = format,
                      .metadata = file.contents().scalars,
                      .found_under = selection.found_under,
                      .left_out = file.contents().tensors.size() - selection.tensors.size()};
  TensorMaker maker(file, mapped, options);
  for (const TorchTensor* tensor : selection.tensors) {
    const std::string name = name_of_tensor(*tensor, selection.depth);
    const bool added = weights.tensors.emplace(name, SourcedTensor{maker.make(*tensor), path}).second;
    if (!added) throw Error(ErrorKind::model, {.file = path, .place = name, .reason = "two tensors have this name"});
  }
  drop_parallel_prefix(weights);
  return weights;
}

}  // namespace sdtorch
