// A model's networks as LoRAs change them, and the way from one set of LoRAs to the next.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/components.hpp"
#include "pipeline/loras.hpp"
#include "pipeline/text_conditions.hpp"

namespace sdtorch {

/// A LoRA at the weights of a moment.
struct WeightedLora {
  std::shared_ptr<const LoraFile> file{};
  double unet = 0, text_encoder = 0;

  bool operator==(const WeightedLora&) const = default;
};

/// What is put on a model at a moment: nothing that has weight 0 in both.
using LoraSet = std::vector<WeightedLora>;

/// Of steps 0…steps-1, the U-Net's of one and the text encoders' of another or the same.
LoraSet set_at(const std::vector<ResolvedLora>& loras, int64_t unet_step, int64_t text_step, int64_t steps);

/// Knows what the networks of a model have now. A tensor of theirs is the file's, to which the differences that all
/// LoRAs make to it, added up in fp32, are added before it is rounded and prepared as at loading: once, whatever it was
/// before. What no LoRA touches is the model, bit for bit. Only layers whose differences are others than before are
/// made anew, from the files, which stay mapped.
class AdaptedNetworks {
 public:
  /// Networks that have a set until it goes.
  class Use {
   public:
    /// Gives them another one, where use() was told so.
    void take(const LoraSet& set) const;

   private:
    friend class AdaptedNetworks;
    Use(AdaptedNetworks* owner, const Components& model, TextMemory& texts)
        : owner_(owner), model_(&model), texts_(&texts) {}

    struct Leave {
      void operator()(AdaptedNetworks* owner) const { owner->leave(); }
    };
    std::unique_ptr<AdaptedNetworks, Leave> owner_;
    const Components* model_;
    TextMemory* texts_;
  };

  /// Gives the networks the set, and waits for that until nobody uses them with another. alone: the set will change in
  /// use. model, texts: always the same networks, and what remembers what their text encoders said; both must outlive
  /// the use. Throws ErrorKind::model for a file that cannot be read.
  Use use(const Components& model, TextMemory& texts, const LoraSet& set, bool alone);

  /// The same where they have that set already, without waiting; nothing otherwise.
  std::optional<Use> use_beside(const Components& model, TextMemory& texts, const LoraSet& set);

 private:
  /// One LoRA's part in a tensor.
  using Part = std::pair<const WeightChange*, double>;
  /// Key → parts, in the set's order.
  using Parts = std::map<std::string, std::vector<Part>>;

  void switch_to(const Components& model, TextMemory& texts, const LoraSet& set);
  /// Whether anything was to be changed.
  bool switch_network(const Components& model, const std::string& component, Parts wanted);
  void leave();

  std::mutex mutex_{};
  std::condition_variable left_{};
  int64_t users_ = 0;
  bool alone_ = false;
  bool whole_ = true;  ///< the networks have all of set_, and nothing else
  LoraSet set_{};
  std::map<std::string, Parts> parts_{};                 ///< component → what its tensors have now
  std::vector<std::shared_ptr<const LoraFile>> kept_{};  ///< whose changes parts_ may point to
  std::map<std::string, StateDict> weights_{};  ///< component → its files, mapped; of those that were changed
};

}  // namespace sdtorch
