// The factor before a low-rank difference: α/r, or α/√r where a LoRA is rank-stabilised (Kalajdzievski 2023), by what
// the file and what lies beside it say.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <regex>
#include <string>
#include <utility>
#include <vector>

#include "adapters/lora_tensors.hpp"
#include "weights/key_table.hpp"

namespace sdtorch {

/// A regular expression for the end of a layer's name, behind a point, as PEFT matches its patterns.
class LayerPattern {
 public:
  /// Nothing where the expression is none, is too large, or has what Python's alone know.
  static std::optional<LayerPattern> parse(const std::string& expression);

  /// module: without the `text_model.` that PEFT sees in some.
  bool fits(const std::string& module) const;

 private:
  explicit LayerPattern(std::regex whole) : whole_(std::move(whole)) {}

  std::regex whole_;
};

/// What PEFT's adapter_config.json says, and diffusers in a file's metadata (`lora_adapter_metadata`), of one component
/// or of all.
struct PeftConfig {
  std::optional<double> alpha{};
  std::optional<int64_t> rank{};
  bool rank_stabilised = false;
  std::vector<std::pair<LayerPattern, double>> alpha_pattern{};  ///< the first that fits counts
  std::vector<std::pair<LayerPattern, int64_t>> rank_pattern{};
  std::string model_class{};  ///< that it was trained on: CLIPTextModelWithProjection
  // PEFT's OFT
  bool constrained = false;                 ///< `coft`
  double constraint = 6e-5;                 ///< `eps`
  std::optional<int64_t> neumann_terms{5};  ///< of the series that stands for an inverse; none: the inverse itself
};

class LoraScaling {
 public:
  /// metadata: the file's own. keys: of the file, which tell whether an adapter_config.json beside it is its own.
  /// Throws ErrorKind::model naming the config and its key.
  LoraScaling(const std::filesystem::path& file, const std::map<std::string, std::string>& metadata,
              const KeySet& keys);

  struct Given {
    int64_t rank = 1;
    std::optional<double> alpha{};  ///< the file's own, for this layer
    /// Kinds of LyCORIS that write α as the user gave it, where the others write what is to be divided by the rank.
    bool alpha_as_given = false;
  };
  double factor(const LoraLayer& layer, const Given& given) const;
  /// The rank that PEFT's config gives a layer, which tensors need not show.
  std::optional<int64_t> configured_rank(const LoraLayer& layer) const;

  /// Of the component, or an empty one.
  const PeftConfig& peft(const std::string& component) const;
  /// The component that keys without a prefix belong to; empty: it is not said.
  std::string unprefixed_component() const;
  /// Whether the file is kohya's OFT, whose limit differs from LyCORIS's.
  bool kohya_oft() const { return kohya_oft_; }

 private:
  bool already_stabilised(const Given& given) const;

  std::map<std::string, PeftConfig> peft_{};  // by component; "": any
  bool rank_stabilised_ = false;              // as kohya's metadata say
  bool lycoris_ = false, kohya_oft_ = false;
  std::vector<double> nominal_alphas_{};
};

}  // namespace sdtorch
