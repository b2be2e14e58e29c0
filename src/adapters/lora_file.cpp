#include "adapters/lora_file.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "adapters/lora_family.hpp"
#include "adapters/lora_keys.hpp"
#include "adapters/lora_kinds.hpp"
#include "adapters/lora_scaling.hpp"
#include "core/error.hpp"
#include "core/log.hpp"
#include "core/number.hpp"
#include "weights/ldm_keys.hpp"
#include "weights/recognition.hpp"
#include "weights/weights_file.hpp"

namespace sdtorch {
namespace {

constexpr size_t max_listed_misfits = 100;
constexpr std::string_view bundle_prefix = "bundle_emb.";

/// What a folder's LoRA may be called, the best first.
constexpr const char* names_in_folders[] = {"adapter_model.safetensors", "pytorch_lora_weights.safetensors",
                                            "adapter_model.bin", "pytorch_lora_weights.bin"};

std::filesystem::path lora_file_in(const std::filesystem::path& path) {
  if (!std::filesystem::is_directory(path)) return path;
  for (const char* name : names_in_folders) {
    if (std::filesystem::exists(path / name)) return path / name;
  }
  fail(ErrorKind::model, path, "",
       fmt::format("no LoRA in this folder: none of {}", fmt::join(names_in_folders, ", ")));
}

/// What does not fit, to be said at once.
class Misfits {
 public:
  Misfits(std::filesystem::path file, bool lenient) : file_(std::move(file)), lenient_(lenient) {}

  void add(const LoraMisfit& misfit) {
    if (misfit.broken) fail(ErrorKind::model, file_, misfit.key, misfit.reason);
    lines_.push_back(fmt::format("{}: {}", misfit.key, misfit.reason));
  }

  bool empty() const { return lines_.empty(); }

  /// family: of the model, for those who took a file for another's that nothing else tells.
  void report(const std::string& family) const {
    const std::vector<std::string> listed(
        lines_.begin(), lines_.begin() + static_cast<ptrdiff_t>(std::min(lines_.size(), max_listed_misfits)));
    if (lenient_) {
      for (const std::string& line : listed) log_warning(fmt::format("{}: {}; left out", file_.string(), line));
      if (lines_.size() > max_listed_misfits) {
        log_warning(fmt::format("{}: {} more left out", file_.string(), lines_.size() - max_listed_misfits));
      }
      return;
    }
    fail(ErrorKind::model, file_, "",
         fmt::format("{} of its keys do not fit the model{}:\n    {}{}", lines_.size(),
                     family.empty() ? "" : fmt::format(", which is {}", family), fmt::join(listed, "\n    "),
                     lines_.size() > max_listed_misfits
                         ? fmt::format("\n    … and {} more", lines_.size() - max_listed_misfits)
                         : ""),
         "--lora-lenient leaves them out");
  }

 private:
  std::filesystem::path file_;
  bool lenient_;
  std::vector<std::string> lines_{};
};

LoraLayer layer_of(const WeightShapes& model, const std::string& component, const std::string& module) {
  const auto& keys = model.at(component);
  LoraLayer layer{.component = component, .module = module};
  if (const auto weight = keys.find(module + ".weight"); weight != keys.end()) layer.weight = weight->second;
  if (const auto bias = keys.find(module + ".bias"); bias != keys.end()) layer.bias = bias->second;
  return layer;
}

/// Whether the key is of an embedding that came along: it is put there.
bool bundled(LoraFile& lora, const std::string& key, const SourcedTensor& tensor) {
  if (!key.starts_with(bundle_prefix)) return false;
  const std::string rest = key.substr(bundle_prefix.size());
  const size_t dot = std::min(rest.find(".string_to_param"), rest.rfind('.'));
  if (dot == std::string::npos || dot == 0) return false;
  lora.embeddings[rest.substr(0, dot)][rest.substr(dot + 1)] = tensor;
  return true;
}

using Layers = std::map<std::pair<std::string, std::string>, LoraTensors>;

/// The file's tensors by the component and the layer that they change.
Layers sort_by_layer(const WeightsFile& weights, const LoraPlaces& places, LoraFile& lora, Misfits& misfits) {
  Layers layers;
  const auto add = [&](const std::string& key, const LoraPlace& place, const at::Tensor& tensor) {
    layers[{place.component, place.module}].add(place.part, {.key = key, .tensor = tensor});
  };
  for (const auto& [key, tensor] : weights.tensors) {
    if (bundled(lora, key, tensor)) continue;
    try {
      const std::optional<LoraPlace> place = places.find(key);
      if (!place) throw LoraMisfit{.key = key, .reason = "the model has no such layer, or more than one"};
      add(key, *place, tensor.tensor);
    } catch (const LoraMisfit& misfit) {
      misfits.add(misfit);
    }
  }
  if (weights.format == WeightsFormat::safetensors) return layers;
  for (const auto& [key, text] : weights.metadata) {  // a checkpoint's α may be a number instead of a tensor
    const std::optional<LoraPlace> place = places.find(key);
    const std::optional<double> number = parse_real(text);
    if (!place || place->part != "alpha" || !number) continue;
    try {
      add(key, *place, at::scalar_tensor(*number, at::kDouble));
    } catch (const LoraMisfit& misfit) {
      misfits.add(misfit);
    }
  }
  return layers;
}

/// Throws where the file is for another family of models, or nothing of a LoRA for this one.
void refuse_foreign(const WeightsFile& weights, const std::filesystem::path& file, const WeightShapes& model,
                    const LoraFile& lora) {
  if (const std::string why = other_family(weights.tensors, weights.metadata, model); !why.empty()) {
    fail(ErrorKind::model, file, "", why);
  }
  if (!lora.changes.empty() || !lora.embeddings.empty()) return;
  const KeySet keys = keys_of(weights.tensors);
  const auto any = [&](std::string_view start) {
    const auto found = keys.lower_bound(start);
    return found != keys.end() && found->starts_with(start);
  };
  const bool whole = any("model.diffusion_model.") && any("first_stage_model.");
  const std::string kind = whole ? "a whole model" : kind_of_weights(keys);
  if (!kind.empty() && kind.find("LoRA") == std::string::npos) {
    fail(ErrorKind::model, file, "", fmt::format("this is {}, and no LoRA", kind));
  }
}

}  // namespace

LoraFile read_lora(const std::filesystem::path& path, const WeightShapes& model, const LoraOptions& options) {
  const std::filesystem::path file = lora_file_in(path);
  const WeightsFile weights = load_weights(file);
  const LoraScaling scaling(file, weights.metadata, keys_of(weights.tensors));
  const LoraPlaces places(model, scaling.unprefixed_component());
  LoraFile lora;
  Misfits misfits(file, options.lenient);
  for (auto& [name, tensors] : sort_by_layer(weights, places, lora, misfits)) {
    try {
      std::ranges::move(lora_changes(layer_of(model, name.first, name.second), tensors, scaling),
                        std::back_inserter(lora.changes));
    } catch (const LoraMisfit& misfit) {
      misfits.add(misfit);
    }
  }
  if (misfits.empty()) return lora;
  refuse_foreign(weights, file, model, lora);
  misfits.report(family_of(model));
  if (lora.changes.empty() && lora.embeddings.empty()) {
    fail(ErrorKind::model, file, "", "nothing in it fits the model");
  }
  return lora;
}

}  // namespace sdtorch
