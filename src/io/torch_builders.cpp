#include "io/torch_builders.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/error.hpp"
#include "core/utf8.hpp"

namespace sdtorch {
namespace {

constexpr size_t most_pickled_axes = 64;
constexpr size_t max_wrappers = 8;  // a parameter of a subclass of a tensor has two
constexpr size_t max_metadata = 64;
constexpr size_t max_key_bytes = 1000;                    // of a storage; torch.save numbers them
constexpr int64_t max_expanded_bytes = int64_t{1} << 46;  // a stride of 0 makes tensors of any size from one number

/// torch.storage.UntypedStorage, under the names that it has had: bytes without a type of their own.
constexpr std::string_view untyped_storages[] = {"UntypedStorage", "_UntypedStorage"};

enum class BuilderKind { tensor, typed_tensor, wrapper, of_type, refused };

struct BuilderRule {
  std::string_view function;
  BuilderKind builder;
  std::string_view refusal{};
};

constexpr BuilderRule builder_rules[] = {
    {"torch._utils._rebuild_tensor", BuilderKind::tensor},
    {"torch._utils._rebuild_tensor_v2", BuilderKind::tensor},
    {"torch._utils._rebuild_tensor_v3", BuilderKind::typed_tensor},
    {"torch.nn.parameter.Parameter", BuilderKind::wrapper},
    {"torch._utils._rebuild_parameter", BuilderKind::wrapper},
    {"torch._utils._rebuild_parameter_with_state", BuilderKind::wrapper},
    {"torch._utils._rebuild_device_tensor_from_cpu_tensor", BuilderKind::wrapper},
    {"torch._tensor._rebuild_from_type", BuilderKind::of_type},
    {"torch._tensor._rebuild_from_type_v2", BuilderKind::of_type},
    {"torch.tensor._rebuild_from_type", BuilderKind::of_type},
    {"torch._utils._rebuild_qtensor", BuilderKind::refused, "a quantised tensor"},
    {"torch._utils._rebuild_sparse_tensor", BuilderKind::refused, "a sparse tensor"},
    {"torch._utils._rebuild_sparse_csr_tensor", BuilderKind::refused, "a sparse tensor"},
    {"torch._utils._rebuild_nested_tensor", BuilderKind::refused, "a nested tensor"},
    {"torch._utils._rebuild_meta_tensor_no_storage", BuilderKind::refused, "a meta tensor, which has no numbers"},
    {"torch._utils._rebuild_wrapper_subclass", BuilderKind::refused, "a tensor of a class of its own"},
    {"torch._utils._rebuild_device_tensor_from_numpy", BuilderKind::refused, "a device's tensor kept as a NumPy array"},
    {"torch._utils._rebuild_xla_tensor", BuilderKind::refused, "an XLA tensor kept as a NumPy array"},
};

const BuilderRule* find_rule(std::string_view function) {
  const auto* found = std::find_if(std::begin(builder_rules), std::end(builder_rules),
                                   [&](const BuilderRule& rule) { return rule.function == function; });
  return found == std::end(builder_rules) ? nullptr : found;
}

}  // namespace

void TorchBuilders::fail(std::string reason) const {
  throw Error(ErrorKind::model, {.file = file_, .place = joined(*path_), .reason = std::move(reason)});
}

std::string_view TorchBuilders::callee(PickleRef ref) const {
  const PickleNode& node = pickle_[ref];
  if (node.kind != PickleKind::object) return {};
  const PickleNode& function = pickle_[node.callee];
  return function.kind == PickleKind::global ? function.text : std::string_view();
}

/// torch.FloatTensor() and its like, filled by BUILD with (storage, offset, shape, strides): before PyTorch 0.2.
bool TorchBuilders::is_filled_tensor(PickleRef ref) const {
  const std::string_view name = callee(ref);
  const PickleRef state = pickle_[ref].state;
  return name.starts_with("torch.") && name.ends_with("Tensor") && state != PickleNode::nothing &&
         pickle_[state].kind == PickleKind::tuple && pickle_[state].items.size() == 4;
}

bool TorchBuilders::is_tensor(PickleRef ref) const {
  const PickleNode& node = pickle_[ref];
  if (node.kind != PickleKind::persistent) return find_rule(callee(ref)) != nullptr || is_filled_tensor(ref);
  // Old files keep the source of modules' classes in the same way.
  const PickleNode& id = pickle_[node.arguments];
  return id.kind != PickleKind::tuple || id.items.empty() || pickle_[id.items[0]].text != "module";
}

void TorchBuilders::read_all_storages() {
  const std::vector<std::string> nowhere;
  path_ = &nowhere;
  for (PickleRef ref = 0; ref < pickle_.size(); ++ref) {
    if (pickle_[ref].kind == PickleKind::persistent && is_tensor(ref)) view(ref);
  }
}

TorchTensor TorchBuilders::read(PickleRef ref, const std::vector<std::string>& path) {
  path_ = &path;
  TorchTensor tensor;
  if (pickle_[ref].kind == PickleKind::persistent) {
    const View whole = view(ref);
    tensor = {.type = storages_[whole.storage].type,
              .storage = whole.storage,
              .offset = static_cast<int64_t>(whole.offset),
              .shape = {static_cast<int64_t>(whole.elements)},
              .strides = {1}};
  } else {
    tensor = build(ref, 0);
  }
  tensor.path = path;
  return tensor;
}

TorchTensor TorchBuilders::build(PickleRef object, size_t depth) {
  if (is_filled_tensor(object))
    return strided(pickle_[pickle_[object].state].items, PickleNode::nothing, PickleNode::nothing);
  return call(callee(object), pickle_[object].arguments, depth);
}

TorchTensor TorchBuilders::call(std::string_view function, PickleRef arguments_ref, size_t depth) {
  const BuilderRule* rule = find_rule(function);
  if (!rule) fail(fmt::format("{} builds it, which is not known", function.empty() ? "what is no function" : function));
  if (rule->builder == BuilderKind::refused) return {.refusal = std::string(rule->refusal)};
  if (depth > max_wrappers) fail("a tensor in a tensor in a tensor, and so on");

  const std::vector<PickleRef>& arguments = sequence(arguments_ref, "arguments");
  const auto argument = [&](size_t i) { return i < arguments.size() ? arguments[i] : PickleNode::nothing; };
  const auto need = [&](size_t count) {
    if (arguments.size() < count)
      fail(fmt::format("{} has {} arguments, {} are needed", function, arguments.size(), count));
  };
  switch (rule->builder) {
    case BuilderKind::wrapper:
      need(1);
      if (callee(arguments[0]).empty()) fail(fmt::format("{} is not given a tensor", function));
      return build(arguments[0], depth + 1);
    case BuilderKind::of_type: {
      need(3);
      const PickleNode& inner = pickle_[arguments[0]];
      return call(inner.kind == PickleKind::global ? inner.text : std::string_view(), arguments[2], depth + 1);
    }
    case BuilderKind::typed_tensor:
      need(7);
      return strided(arguments, argument(6), argument(7));
    default:
      need(4);
      return strided(arguments, PickleNode::nothing, argument(6));
  }
}

/// (storage, offset, shape, strides, requires_grad, hooks, …)
TorchTensor TorchBuilders::strided(const std::vector<PickleRef>& arguments, PickleRef dtype, PickleRef metadata) {
  const View place = view(arguments[0]);
  const Dtype* stored = storages_[place.storage].type;
  TorchTensor tensor{.type = stored, .storage = place.storage};
  if (dtype != PickleNode::nothing) {
    const PickleNode& named = pickle_[dtype];
    if (named.kind != PickleKind::global) fail("its type is none");
    std::string_view name = named.text;
    if (name.starts_with("torch.")) name.remove_prefix(6);
    tensor.type = find_dtype(&Dtype::torch, name);
    if (!tensor.type) return {.refusal = fmt::format("a tensor of type {}", named.text)};
  }
  const int64_t offset = integer(arguments[1], "offset");
  tensor.shape = integers(arguments[2], "shape");
  tensor.strides = integers(arguments[3], "strides");
  if (offset < 0) fail(fmt::format("its offset {} is negative", offset));
  if (tensor.shape.size() != tensor.strides.size()) {
    fail(fmt::format("it has {} axes and {} strides", tensor.shape.size(), tensor.strides.size()));
  }
  // Untyped storages count bytes; views exist of typed ones alone, where both types are the same.
  const uint64_t view_begin = place.offset * stored->bytes() / tensor.type->bytes();
  if (view_begin * tensor.type->bytes() != place.offset * stored->bytes())
    fail("its part of a storage begins within an element");
  tensor.offset = offset;
  check_extent(tensor, place.elements * stored->bytes() / tensor.type->bytes());
  tensor.offset += static_cast<int64_t>(view_begin);
  read_metadata(metadata, tensor);
  return tensor;
}

/// Shape and strides must stay within the elements; overflows are refused like any other excess.
void TorchBuilders::check_extent(const TorchTensor& tensor, uint64_t elements) const {
  int64_t count = 1, last = tensor.offset;
  bool counted = true;
  bool is_empty = false;
  for (size_t axis = 0; axis < tensor.shape.size(); ++axis) {
    const int64_t size = tensor.shape[axis], stride = tensor.strides[axis];
    if (size < 0) fail(fmt::format("its axis {} has a size of {}", axis, size));
    if (stride < 0) fail(fmt::format("its axis {} has a stride of {}", axis, stride));
    is_empty = is_empty || size == 0;
    if (size == 0) continue;
    int64_t reach = 0;
    counted = counted && !__builtin_mul_overflow(count, size, &count) &&
              !__builtin_mul_overflow(size - 1, stride, &reach) && !__builtin_add_overflow(last, reach, &last);
  }
  if (!counted) fail("its shape has more elements than can be counted");
  if (!is_empty && count > max_expanded_bytes / static_cast<int64_t>(tensor.type->bytes())) {
    fail(fmt::format("its shape has {} elements, more than any model has", count));
  }
  if (!is_empty && static_cast<uint64_t>(last) >= elements) {
    fail(fmt::format("it reaches to element {} of a storage of {}", last, elements));
  }
  if (is_empty && static_cast<uint64_t>(tensor.offset) > elements) {
    fail(fmt::format("it begins at element {} of a storage of {}", tensor.offset, elements));
  }
}

/// {"conj": True}, {"neg": True}
void TorchBuilders::read_metadata(PickleRef metadata, TorchTensor& tensor) const {
  if (metadata == PickleNode::nothing) return;
  const PickleNode& dict = pickle_[metadata];
  if (dict.kind == PickleKind::none) return;
  if (dict.kind != PickleKind::dict) fail("its metadata are no dict");
  if (dict.items.size() > 2 * max_metadata) fail(fmt::format("its metadata have more than {} keys", max_metadata));
  for (size_t i = 0; i + 1 < dict.items.size(); i += 2) {
    const PickleNode& key = pickle_[dict.items[i]];
    const PickleNode& value = pickle_[dict.items[i + 1]];
    const bool set = value.kind == PickleKind::boolean && value.integer != 0;
    if (key.kind != PickleKind::text) continue;
    if (key.text == "conj") tensor.conjugate = set;
    if (key.text == "neg") tensor.negative = set;
  }
}

/// ('storage', class, key, location, elements) and, in old files, (view's key, offset, elements) or None.
TorchBuilders::View TorchBuilders::view(PickleRef ref) {
  const PickleNode& persistent = pickle_[ref];
  if (persistent.kind != PickleKind::persistent) fail("it has no storage");
  const std::vector<PickleRef>& id = sequence(persistent.arguments, "storage");
  if (id.size() < 5 || pickle_[id[0]].text != "storage" || pickle_[id[2]].kind != PickleKind::text) {
    fail("its storage is not described as torch.save does");
  }
  const Dtype& type = storage_type(id[1]);
  const std::string key(pickle_[id[2]].text.substr(0, max_key_bytes + 1));
  if (key.size() > max_key_bytes) fail(fmt::format("its storage's key has more than {} bytes", max_key_bytes));
  const int64_t elements = integer(id[4], "storage's size");
  int64_t bytes = 0;
  if (elements < 0 || __builtin_mul_overflow(elements, static_cast<int64_t>(type.bytes()), &bytes)) {
    fail(fmt::format("a storage of {} elements", elements));
  }
  View whole{.storage = storage(key, type, static_cast<uint64_t>(elements)),
             .elements = static_cast<uint64_t>(elements)};
  if (id.size() < 6 || pickle_[id[5]].kind == PickleKind::none) return whole;

  const std::vector<PickleRef>& part = sequence(id[5], "part of a storage");
  if (part.size() != 3) fail("its part of a storage is not described as torch.save does");
  const int64_t offset = integer(part[1], "part's offset"), size = integer(part[2], "part's size");
  if (offset < 0 || size < 0 || offset > elements || size > elements - offset) {
    fail(fmt::format("{} elements from {} on are no part of a storage of {}", size, offset, elements));
  }
  whole.offset = static_cast<uint64_t>(offset);
  whole.elements = static_cast<uint64_t>(size);
  return whole;
}

size_t TorchBuilders::storage(const std::string& key, const Dtype& type, uint64_t elements) {
  const auto [found, added] = storage_by_key_.try_emplace(key, storages_.size());
  if (added) {
    storages_.push_back({.key = key, .type = &type, .elements = elements});
    return found->second;
  }
  const TorchStorage& there = storages_[found->second];
  if (there.type != &type || there.elements != elements) {
    fail(fmt::format("storage {:?} has {} elements of type {} here, and {} of type {} elsewhere", shortened(key, 100),
                     elements, type.torch, there.elements, there.type->torch));
  }
  return found->second;
}

const Dtype& TorchBuilders::storage_type(PickleRef ref) const {
  const PickleNode& node = pickle_[ref];
  if (node.kind == PickleKind::global && node.text.starts_with("torch.")) {
    const std::string_view name = node.text.substr(node.text.rfind('.') + 1);
    if (const Dtype* type = find_dtype(&Dtype::storage, name)) return *type;
    if (std::ranges::find(untyped_storages, name) != std::end(untyped_storages)) return *find_dtype(at::kByte);
  }
  fail(fmt::format("{} is no kind of storage", node.kind == PickleKind::global ? node.text : "what is no class"));
}

const std::vector<PickleRef>& TorchBuilders::sequence(PickleRef ref, const char* what) const {
  const PickleNode& node = pickle_[ref];
  if (node.kind == PickleKind::tuple || node.kind == PickleKind::list) return node.items;
  if (callee(ref) == "torch.Size" && pickle_[node.arguments].kind == PickleKind::tuple) {
    const std::vector<PickleRef>& arguments = pickle_[node.arguments].items;
    if (arguments.size() == 1 && pickle_[arguments[0]].kind != PickleKind::object) return sequence(arguments[0], what);
  }
  fail(fmt::format("its {} is no tuple", what));
}

int64_t TorchBuilders::integer(PickleRef ref, const char* what) const {
  const PickleNode& node = pickle_[ref];
  if (node.kind != PickleKind::integer) fail(fmt::format("its {} is no whole number that fits", what));
  return node.integer;
}

std::vector<int64_t> TorchBuilders::integers(PickleRef ref, const char* what) const {
  const std::vector<PickleRef>& items = sequence(ref, what);
  if (items.size() > most_pickled_axes)
    fail(fmt::format("it has {} axes, more than {}", items.size(), most_pickled_axes));
  std::vector<int64_t> numbers;
  numbers.reserve(items.size());
  for (const PickleRef item : items) numbers.push_back(integer(item, what));
  return numbers;
}

}  // namespace sdtorch
