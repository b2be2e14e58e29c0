#include "weights/torch_weights.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <optional>
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

/// Under which keys checkpoints keep the model's weights beside other things, the best first.
constexpr std::string_view wrappers[] = {"state_dict", "model_state_dict", "model", "module", "net"};
constexpr size_t max_wrappers = 4;  // {"module": {"state_dict": …}} has two

/// In the modules of Latent Diffusion (CompVis), saved whole, `model` is no wrapper: it holds the UNet.
constexpr std::string_view unet_wrapper = "model", unet_module = "diffusion_model";

/// Wraps every key of a model that was trained by several processes.
constexpr std::string_view parallel_prefix = "module.";

/// Bytes of one number: a complex one has two.
size_t number_bytes(at::ScalarType type) {
  return at::isComplexType(type) ? at::elementSize(type) / 2 : at::elementSize(type);
}

/// Makes tensors on the storages of one file, each storage once for all its tensors.
class TensorMaker {
 public:
  TensorMaker(std::shared_ptr<const TorchFile> file, std::shared_ptr<MappedFile> mapped)
      : file_(std::move(file)), mapped_(std::move(mapped)) {}

  /// Verifies the tensor's storage, once for all that share it.
  std::function<void()> check(const TorchTensor& plan) {
    if (!file_->has_checksum(plan.storage)) return {};
    const auto [found, added] = checks_.try_emplace(plan.storage);
    if (added) {
      found->second = [file = file_, mapped = mapped_, index = plan.storage,
                       done = std::make_shared<std::atomic<bool>>(false)] {
        if (*done) return;
        const TorchBytes bytes = file->bytes(index);
        file->verify(index, bytes);
        if (!bytes.unpacked) mapped->release(bytes.bytes);
        *done = true;
      };
    }
    return found->second;
  }

  at::Tensor make(const TorchTensor& plan) {
    const std::string name = joined(plan.path);
    const auto fail = [&](const std::string& reason) {
      throw Error(ErrorKind::model, {.file = mapped_->path().string(), .place = name, .reason = reason});
    };
    if (!plan.refusal.empty()) fail(fmt::format("is {}, which is not read", plan.refusal));
    const at::ScalarType type = plan.type->type;
    if (at::isQIntType(type)) fail(fmt::format("is of type {}, which is not read", plan.type->torch));
    const at::Tensor base = storage(plan.storage, type);
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
    const TorchBytes bytes = file_->bytes(index);
    // A byte that is neither 0 nor 1 is no bool to the compiler: booleans are read as numbers.
    const at::ScalarType stored = type == at::kBool ? at::kByte : type;
    const auto count = static_cast<int64_t>(bytes.bytes.size() / at::elementSize(stored));
    if (count == 0) return at::empty({0}, type);
    const size_t swapped = file_->big_endian() ? number_bytes(stored) : 1;
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

  std::shared_ptr<const TorchFile> file_;
  std::shared_ptr<MappedFile> mapped_;
  std::map<std::pair<size_t, at::ScalarType>, at::Tensor> storages_{};
  std::map<size_t, std::function<void()>> checks_{};
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
  std::map<std::string, std::string> metadata;
  for (auto& [key, text] : weights.metadata) {
    metadata[key.starts_with(parallel_prefix) ? key.substr(parallel_prefix.size()) : key] = std::move(text);
  }
  weights.metadata = std::move(metadata);
  weights.found_under +=
      (weights.found_under.empty() ? "" : ".") + std::string(parallel_prefix.substr(0, parallel_prefix.size() - 1));
}

/// What lies beside the weights, and where they are wrapped beside their wrapper, too.
std::map<std::string, std::string> metadata_of(const TorchTensors& contents, const std::string& found_under) {
  std::map<std::string, std::string> all;
  for (const std::string& path : {found_under, std::string()}) {
    if (const auto scalars = contents.scalars.find(path); scalars != contents.scalars.end()) {
      all.insert(scalars->second.begin(), scalars->second.end());
    }
  }
  return all;
}

}  // namespace

WeightsFile load_torch_weights(const std::shared_ptr<MappedFile>& mapped, WeightsFormat format) {
  const std::string path = mapped->path().string();
  const auto owner = std::make_shared<const TorchFile>(mapped->bytes(), path, format);
  const TorchFile& file = *owner;
  const Selection selection = select_weights(file.contents().tensors);
  WeightsFile weights{.format = format,
                      .metadata = metadata_of(file.contents(), selection.found_under),
                      .values = file.contents().values,
                      .found_under = selection.found_under,
                      .left_out = file.contents().tensors.size() - selection.tensors.size()};
  TensorMaker maker(owner, mapped);
  for (const TorchTensor* tensor : selection.tensors) {
    const std::string name = name_of_tensor(*tensor, selection.depth);
    const bool added =
        weights.tensors.emplace(name, SourcedTensor{maker.make(*tensor), path, maker.check(*tensor)}).second;
    if (!added) throw Error(ErrorKind::model, {.file = path, .place = name, .reason = "two tensors have this name"});
  }
  drop_parallel_prefix(weights);
  return weights;
}

}  // namespace sdtorch
