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
#include "weights/ldm_keys.hpp"
#include "weights/weights_file.hpp"

namespace sdtorch {
namespace {

constexpr size_t max_listed = 100;
constexpr std::string_view bundle_prefix = "bundle_emb.";

/// What a folder's LoRA may be called, the best first.
constexpr const char* names_in_folders[] = {"adapter_model.safetensors", "pytorch_lora_weights.safetensors",
                                            "adapter_model.bin", "pytorch_lora_weights.bin"};

std::filesystem::path file_of(const std::filesystem::path& path) {
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

  void report() const {
    const std::vector<std::string> listed(lines_.begin(),
                                          lines_.begin() + static_cast<ptrdiff_t>(std::min(lines_.size(), max_listed)));
    if (lenient_) {
      for (const std::string& line : listed) log_warning(fmt::format("{}: {}; left out", file_.string(), line));
      if (lines_.size() > max_listed) {
        log_warning(fmt::format("{}: {} more left out", file_.string(), lines_.size() - max_listed));
      }
      return;
    }
    fail(ErrorKind::model, file_, "",
         fmt::format("{} of its keys do not fit the model:\n    {}{}", lines_.size(), fmt::join(listed, "\n    "),
                     lines_.size() > max_listed ? fmt::format("\n    … and {} more", lines_.size() - max_listed) : ""),
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
  const size_t dot = rest.find('.');
  if (dot == std::string::npos) return false;
  lora.embeddings[rest.substr(0, dot)][rest.substr(dot + 1)] = tensor;
  return true;
}

}  // namespace

LoraFile read_lora(const std::filesystem::path& path, const WeightShapes& model, const LoraOptions& options) {
  const std::filesystem::path file = file_of(path);
  const WeightsFile weights = load_weights(file);
  const LoraScaling scaling(file, weights.metadata, keys_of(weights.tensors));
  const LoraPlaces places(model, scaling.unprefixed_component());
  LoraFile lora;
  Misfits misfits(file, options.lenient);
  std::map<std::pair<std::string, std::string>, LoraTensors> layers;
  for (const auto& [key, tensor] : weights.tensors) {
    if (bundled(lora, key, tensor)) continue;
    try {
      const std::optional<LoraPlace> place = places.find(key);
      if (!place) throw LoraMisfit{.key = key, .reason = "the model has no such layer"};
      layers[{place->component, place->module}].add(place->part, {.key = key, .tensor = tensor.tensor});
    } catch (const LoraMisfit& misfit) {
      misfits.add(misfit);
    }
  }
  for (auto& [name, tensors] : layers) {
    try {
      std::vector<WeightChange> changes =
          lora_changes(layer_of(model, name.first, name.second), std::move(tensors), scaling);
      std::ranges::move(changes, std::back_inserter(lora.changes));
    } catch (const LoraMisfit& misfit) {
      misfits.add(misfit);
    }
  }
  if (misfits.empty()) return lora;
  if (const std::string why = other_family(weights.tensors, weights.metadata, model); !why.empty()) {
    fail(ErrorKind::model, file, "", why);
  }
  misfits.report();
  return lora;
}

}  // namespace sdtorch
