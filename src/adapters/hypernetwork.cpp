#include "adapters/hypernetwork.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "core/number.hpp"
#include "core/suggest.hpp"
#include "weights/ldm_keys.hpp"
#include "weights/recognition.hpp"
#include "weights/weights_file.hpp"

namespace sdtorch {
namespace {

constexpr int64_t largest_width = 1 << 20;

/// What the first files called their two layers.
constexpr std::array<std::pair<std::string_view, std::string_view>, 2> old_layers = {
    {{"linear1.", "linear.0."}, {"linear2.", "linear.1."}}};

/// Activations that A1111 offers and that no network can have, and why.
constexpr std::array<std::pair<std::string_view, const char*>, 3> impossible = {
    {{"glu", "halves what it is given, which no layer behind it fits"},
     {"threshold", "needs numbers that no file has"},
     {"multiheadattention", "needs numbers that no file has"}}};

/// Reads one file's values; what is not there is as A1111 takes it.
class HyperValues {
 public:
  HyperValues(const std::map<std::string, TorchValue>& values, std::string file)
      : values_(values), file_(std::move(file)) {}

  [[noreturn]] void fail_at(const std::string& key, std::string reason) const {
    fail(ErrorKind::model, file_, key, std::move(reason));
  }

  /// None is false, as in Python.
  bool truth(const char* key, bool otherwise) const {
    const TorchValue* value = find(key);
    if (!value) return otherwise;
    if (std::holds_alternative<std::monostate>(*value)) return false;
    if (const auto* truth = std::get_if<bool>(value)) return *truth;
    if (const auto* number = std::get_if<double>(value)) return *number != 0;
    fail_at(key, "must be true or false");
  }

  std::optional<std::string> text(const char* key) const {
    const TorchValue* value = find(key);
    if (!value || std::holds_alternative<std::monostate>(*value)) return std::nullopt;
    if (const auto* text = std::get_if<std::string>(value)) return *text;
    fail_at(key, "must be a name");
  }

  std::optional<std::vector<double>> numbers(const char* key) const {
    const TorchValue* value = find(key);
    if (!value || std::holds_alternative<std::monostate>(*value)) return std::nullopt;
    if (const auto* list = std::get_if<std::vector<double>>(value)) return *list;
    fail_at(key, "must be a list of numbers");
  }

  const std::string& file() const { return file_; }

 private:
  const TorchValue* find(const char* key) const {
    const auto found = values_.find(key);
    return found == values_.end() ? nullptr : &found->second;
  }

  const std::map<std::string, TorchValue>& values_;
  std::string file_;
};

/// How the layers of each of a file's networks follow one another.
struct HyperStructure {
  std::vector<double> widths{};                 ///< in and out of the linear layers, in widths of the network
  const HyperActivation* activation = nullptr;  ///< nullptr: there is none
  bool norm = false;
  bool activates_output = true;
  std::vector<bool> dropout{};  ///< behind linear layer i
};

std::vector<double> widths_of(const HyperValues& values) {
  constexpr const char* key = "layer_structure";
  std::vector<double> widths = values.numbers(key).value_or(std::vector<double>{1, 2, 1});
  if (widths.size() < 2 || widths.front() != 1 || widths.back() != 1) {
    values.fail_at(key, fmt::format("must begin and end with 1, is [{}]", fmt::join(widths, ", ")));
  }
  for (const double width : widths) {
    if (!std::isfinite(width) || width <= 0) values.fail_at(key, fmt::format("{} is no width", width));
  }
  return widths;
}

const HyperActivation* activation_of(const HyperValues& values) {
  constexpr const char* key = "activation_func";
  const auto name = values.text(key);
  if (!name || ascii_lower(*name) == "linear") return nullptr;
  if (const HyperActivation* found = find_hyper_activation(*name)) return found;
  for (const auto& [other, why] : impossible) {
    if (ascii_lower(*name) == other) values.fail_at(key, fmt::format("{} {}", *name, why));
  }
  values.fail_at(key, fmt::format("there is no activation '{}'", *name));
}

/// `dropout_structure`, or what the two older flags say: behind all linear layers but the last two, and the last but
/// one by a flag of its own.
std::vector<bool> dropout_of(const HyperValues& values, size_t linears) {
  constexpr const char* key = "dropout_structure";
  std::vector<bool> dropout(linears);
  if (const auto given = values.numbers(key)) {
    if (given->size() <= linears) {
      values.fail_at(key, fmt::format("{} numbers for {} widths", given->size(), linears + 1));
    }
    for (size_t i = 0; i < linears; ++i) {
      const double share = (*given)[i + 1];
      if (!(share >= 0 && share < 1)) values.fail_at(key, fmt::format("{} is no share", share));
      dropout[i] = share > 0;
    }
    return dropout;
  }
  const bool any = values.truth("use_dropout", false), last = values.truth("last_layer_dropout", false);
  for (size_t i = 0; i + 1 < linears; ++i) dropout[i] = any && (i + 2 < linears || last);
  return dropout;
}

HyperStructure structure_of(const HyperValues& values) {
  HyperStructure structure{.widths = widths_of(values)};
  structure.activation = activation_of(values);
  structure.norm = values.truth("is_layer_norm", false);
  structure.activates_output = values.truth("activate_output", true);
  structure.dropout = dropout_of(values, structure.widths.size() - 1);
  return structure;
}

/// One network's tensors, by their keys behind `WIDTH.PART.`.
class HyperTensors {
 public:
  HyperTensors(std::string prefix, std::string file) : prefix_(std::move(prefix)), file_(std::move(file)) {}

  void add(std::string key, const at::Tensor& tensor) {
    for (const auto& [old, now] : old_layers) {
      if (key.starts_with(old)) key = std::string(now) + key.substr(old.size());
    }
    tensors_[std::move(key)] = tensor;
  }

  at::Tensor take(const std::string& key, const std::vector<int64_t>& shape) {
    const auto found = tensors_.find(key);
    if (found == tensors_.end()) fail(ErrorKind::model, file_, prefix_ + key, "is missing");
    const at::Tensor tensor = found->second;
    tensors_.erase(found);
    if (tensor.sizes() != at::IntArrayRef(shape) || !at::isFloatingType(tensor.scalar_type())) {
      fail(ErrorKind::model, file_, prefix_ + key,
           fmt::format("numbers of the shape [{}] were expected, this is {} [{}]", fmt::join(shape, ", "),
                       c10::toString(tensor.scalar_type()), fmt::join(tensor.sizes(), ", ")));
    }
    const at::Tensor numbers = tensor.to(at::kFloat);
    if (!numbers.isfinite().all().item<bool>()) {
      fail(ErrorKind::model, file_, prefix_ + key, "has numbers that are not finite");
    }
    return numbers;
  }

  void check_all_taken() const {
    if (tensors_.empty()) return;
    std::vector<std::string> keys;
    for (const auto& [key, tensor] : tensors_) keys.push_back(prefix_ + key);
    fail(ErrorKind::model, file_, keys.front(),
         fmt::format("does not fit layer_structure and its kin: {}", fmt::join(keys, ", ")));
  }

 private:
  std::string prefix_, file_;
  std::map<std::string, at::Tensor> tensors_{};
};

/// torch.nn.Sequential's numbers: each layer has one, with weights or without.
std::vector<HyperLayer> read_layers(HyperTensors tensors, const HyperStructure& structure, int64_t width,
                                    const HyperValues& values) {
  std::vector<HyperLayer> layers;
  const size_t linears = structure.widths.size() - 1;
  size_t number = 0;
  const auto next = [&] { return fmt::format("linear.{}", number++); };
  const auto wide = [&](size_t i) {
    const double exact = static_cast<double>(width) * structure.widths[i];
    if (!(exact >= 1 && exact <= static_cast<double>(largest_width))) {
      values.fail_at("layer_structure", fmt::format("{} times {} is no width", structure.widths[i], width));
    }
    return static_cast<int64_t>(exact);
  };
  for (size_t i = 0; i < linears; ++i) {
    const int64_t in = wide(i), out = wide(i + 1);
    const std::string linear = next();
    layers.push_back({.kind = HyperLayer::Kind::linear,
                      .weight = tensors.take(linear + ".weight", {out, in}),
                      .bias = tensors.take(linear + ".bias", {out})});
    if (structure.activation && (i + 1 < linears || structure.activates_output)) {
      const std::string activation = next();
      HyperLayer& layer = layers.emplace_back();
      layer.kind = HyperLayer::Kind::activation;
      layer.activation = structure.activation;
      if (layer.activation->has_slope) layer.weight = tensors.take(activation + ".weight", {1});
    }
    if (structure.norm) {
      const std::string norm = next();
      layers.push_back({.kind = HyperLayer::Kind::norm,
                        .weight = tensors.take(norm + ".weight", {out}),
                        .bias = tensors.take(norm + ".bias", {out})});
    }
    if (structure.dropout[i]) next();
  }
  tensors.check_all_taken();
  return layers;
}

/// `320.0.linear.0.weight` → 320, 0 and the rest. Nothing for what A1111 does not look at.
struct HyperKey {
  int64_t width = 0;
  size_t part = 0;
  std::string rest{};
};

std::optional<HyperKey> parse_hyper_key(const std::string& key) {
  const size_t first = key.find('.'), second = first == std::string::npos ? first : key.find('.', first + 1);
  if (second == std::string::npos) return std::nullopt;
  const auto width = parse_int(key.substr(0, first));
  const std::string part = key.substr(first + 1, second - first - 1);
  if (!width || *width <= 0 || *width > largest_width || (part != "0" && part != "1")) return std::nullopt;
  return HyperKey{.width = *width, .part = part == "1" ? size_t{1} : size_t{0}, .rest = key.substr(second + 1)};
}

}  // namespace

std::shared_ptr<const Hypernetwork> load_hypernetwork(const std::filesystem::path& path) {
  const std::string file = path.string();
  const WeightsFile weights = load_weights(path);
  std::map<int64_t, std::array<HyperTensors, 2>> found;
  for (const auto& [key, tensor] : weights.tensors) {
    const auto parsed = parse_hyper_key(key);
    if (!parsed) continue;
    const auto place = [&](int part) { return fmt::format("{}.{}.", parsed->width, part); };
    auto& both =
        found.try_emplace(parsed->width, std::array{HyperTensors(place(0), file), HyperTensors(place(1), file)})
            .first->second;
    both[parsed->part].add(parsed->rest, tensor.tensor);
  }
  if (found.empty()) {
    const std::string kind = kind_of_weights(keys_of(weights.tensors));
    fail(ErrorKind::model, path, "", fmt::format("this is {}, no hypernetwork", kind.empty() ? "nothing known" : kind));
  }
  const HyperValues values(weights.values, file);
  const HyperStructure structure = structure_of(values);
  HyperWidths widths;
  for (auto& [width, both] : found) {
    for (size_t part = 0; part < both.size(); ++part) {
      widths[width][part] = read_layers(std::move(both[part]), structure, width, values);
    }
  }
  return std::make_shared<const Hypernetwork>(std::move(widths));
}

}  // namespace sdtorch
