// The names that LoRA files give to the places in a model, in all the spellings that are about.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "adapters/weight_change.hpp"

namespace sdtorch {

/// What a tensor of a LoRA file is, and for which layer.
struct LoraPlace {
  std::string component{};  ///< unet, text_encoder, text_encoder_2
  std::string module{};     ///< the network's own name of the layer, "….to_q"
  std::string part{};       ///< one spelling for all files: "lora_down", "alpha", "hada_w1_a", …
};

/// The layer's name as the file spells it, and the part, whatever the model; nothing where the ending says nothing.
std::optional<std::pair<std::string, std::string>> lora_stem_and_part(std::string_view key);

/// Finds places by a model's own list of layers: where kohya's tools write underscores for dots, only that list tells
/// which were which.
class LoraPlaces {
 public:
  /// unprefixed: the component that keys without any prefix belong to, where something beside the file says so; else
  /// empty, and the one that has such a layer.
  explicit LoraPlaces(const WeightShapes& model, std::string unprefixed = {});

  /// Nothing where the model has no such layer, where more than one could be meant, or where the ending says nothing.
  std::optional<LoraPlace> find(std::string_view key) const;

 private:
  using Names = std::map<std::string, std::string, std::less<>>;  // spelling → module; empty: several
  struct Spellings {
    Names dotted{}, flat{};
  };

  static void add(Names& names, const std::string& spelling, const std::string& module);
  static Spellings spellings_of(const std::string& component, const std::map<std::string, std::vector<int64_t>>& keys);
  std::optional<LoraPlace> look_up(const std::string& component, const std::string& stem, bool flat) const;
  std::optional<LoraPlace> find_stem(std::string_view stem) const;

  std::map<std::string, Spellings> components_{};
  std::string unprefixed_{};
};

}  // namespace sdtorch
