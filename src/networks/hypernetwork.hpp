// Hypernetworks as A1111 has them (after NovelAI, 2022): small networks, one for keys and one for values, that change
// what a U-Net's attention layers look at, by its width: x + w·f(x).
#pragma once

#include <ATen/ATen.h>

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

namespace sdtorch {

struct HyperLayer;

/// An activation that a hypernetwork may have: one of torch.nn's by its name in lower case, or by A1111's own.
struct HyperActivation {
  std::string_view name{};
  /// x: [rows, L, C] → the same shape. pictures: of each row, the picture that it is of.
  at::Tensor (*apply)(const at::Tensor& x, const HyperLayer& layer, const std::vector<int64_t>& pictures) = nullptr;
  bool has_slope = false;  ///< one that is learned: HyperLayer::weight
};

/// In any case; nullptr for a name that is none of them. `linear` is the activation that changes nothing.
const HyperActivation* find_hyper_activation(std::string_view name);

/// One step of a network.
struct HyperLayer {
  enum class Kind { linear, norm, activation };
  Kind kind = Kind::linear;
  at::Tensor weight{},
      bias{};  ///< linear: [out, in], [out]; norm: [C], [C]; an activation's slope: [1]; else undefined
  const HyperActivation* activation = nullptr;
};

/// The layers for keys and for values at one width.
using HyperLayers = std::array<std::vector<HyperLayer>, 2>;

/// By width.
using HyperWidths = std::map<int64_t, HyperLayers>;

/// One file's. Safe from several threads.
class Hypernetwork {
 public:
  /// widths: fp32 on the CPU.
  explicit Hypernetwork(HyperWidths widths) : widths_(std::move(widths)) {}

  const HyperWidths& widths() const { return widths_; }

  /// On a device and in the type that it computes in; made once for each.
  std::shared_ptr<const HyperWidths> on(at::Device device, at::ScalarType type) const;

 private:
  struct Placed {
    at::Device device;
    at::ScalarType type;
    std::shared_ptr<const HyperWidths> widths{};
  };

  HyperWidths widths_;
  mutable std::mutex mutex_{};
  mutable std::vector<Placed> placed_{};
};

/// What a call of the U-Net applies, one after the other.
struct HypernetworkCall {
  std::vector<std::pair<std::shared_ptr<const HyperWidths>, double>> networks{};  ///< and their weights
  std::vector<int64_t> pictures{};  ///< of each row of the call, the picture that it is of
};

/// What keys and values are made from.
struct AttentionSources {
  at::Tensor keys{}, values{};
};

/// source: [rows, L, C] → the same shape twice: the source itself where no network has its width.
/// Softmax and its kin are A1111's, over the rows, here those of one picture: a picture does not depend on the others.
AttentionSources apply_hypernetworks(const HypernetworkCall& call, const at::Tensor& source);

}  // namespace sdtorch
