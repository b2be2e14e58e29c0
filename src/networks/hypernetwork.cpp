#include "networks/hypernetwork.hpp"

#include <algorithm>
#include <functional>
#include <set>

#include "core/suggest.hpp"

namespace sdtorch {
namespace {

constexpr double hyper_norm_eps = 1e-5;  // torch.nn.LayerNorm's
constexpr double rrelu_slope = (1.0 / 8 + 1.0 / 3) / 2;

using HyperPictures = std::vector<int64_t>;

/// f of each picture's rows by themselves.
at::Tensor over_pictures(const at::Tensor& x, const std::vector<int64_t>& pictures,
                         const std::function<at::Tensor(const at::Tensor&)>& f) {
  const std::set<int64_t> different(pictures.begin(), pictures.end());
  if (different.size() <= 1) return f(x);
  at::Tensor result = at::empty_like(x);
  for (const int64_t picture : different) {
    std::vector<int64_t> rows;
    for (size_t row = 0; row < pictures.size(); ++row) {
      if (pictures[row] == picture) rows.push_back(static_cast<int64_t>(row));
    }
    const at::Tensor places = at::tensor(rows, at::kLong).to(x.device());
    result.index_copy_(0, places, f(x.index_select(0, places)));
  }
  return result;
}

/// torch.nn's modules with their defaults, as they are when nothing is trained; A1111's swish is their Hardswish.
/// Softmax and its kin take the first of three axes, the rows.
constexpr HyperActivation hyper_activations[] = {
    {"linear", [](const at::Tensor& x, const HyperLayer&, const HyperPictures&) { return x; }},
    {"relu", [](const at::Tensor& x, const HyperLayer&, const HyperPictures&) { return at::relu(x); }},
    {"rrelu",
     [](const at::Tensor& x, const HyperLayer&, const HyperPictures&) { return at::leaky_relu(x, rrelu_slope); }},
    {"leakyrelu", [](const at::Tensor& x, const HyperLayer&, const HyperPictures&) { return at::leaky_relu(x); }},
    {"hardtanh", [](const at::Tensor& x, const HyperLayer&, const HyperPictures&) { return at::hardtanh(x); }},
    {"relu6", [](const at::Tensor& x, const HyperLayer&, const HyperPictures&) { return at::hardtanh(x, 0, 6); }},
    {"sigmoid", [](const at::Tensor& x, const HyperLayer&, const HyperPictures&) { return at::sigmoid(x); }},
    {"hardsigmoid", [](const at::Tensor& x, const HyperLayer&, const HyperPictures&) { return at::hardsigmoid(x); }},
    {"tanh", [](const at::Tensor& x, const HyperLayer&, const HyperPictures&) { return at::tanh(x); }},
    {"silu", [](const at::Tensor& x, const HyperLayer&, const HyperPictures&) { return at::silu(x); }},
    {"mish", [](const at::Tensor& x, const HyperLayer&, const HyperPictures&) { return at::mish(x); }},
    {"hardswish", [](const at::Tensor& x, const HyperLayer&, const HyperPictures&) { return at::hardswish(x); }},
    {"swish", [](const at::Tensor& x, const HyperLayer&, const HyperPictures&) { return at::hardswish(x); }},
    {"elu", [](const at::Tensor& x, const HyperLayer&, const HyperPictures&) { return at::elu(x); }},
    {"celu", [](const at::Tensor& x, const HyperLayer&, const HyperPictures&) { return at::celu(x); }},
    {"selu", [](const at::Tensor& x, const HyperLayer&, const HyperPictures&) { return at::selu(x); }},
    {"gelu", [](const at::Tensor& x, const HyperLayer&, const HyperPictures&) { return at::gelu(x); }},
    {"hardshrink", [](const at::Tensor& x, const HyperLayer&, const HyperPictures&) { return at::hardshrink(x); }},
    {"softshrink", [](const at::Tensor& x, const HyperLayer&, const HyperPictures&) { return at::softshrink(x); }},
    {"tanhshrink", [](const at::Tensor& x, const HyperLayer&, const HyperPictures&) { return x - at::tanh(x); }},
    {"logsigmoid", [](const at::Tensor& x, const HyperLayer&, const HyperPictures&) { return at::log_sigmoid(x); }},
    {"softplus", [](const at::Tensor& x, const HyperLayer&, const HyperPictures&) { return at::softplus(x); }},
    {"softsign", [](const at::Tensor& x, const HyperLayer&, const HyperPictures&) { return x / (1 + x.abs()); }},
    {"prelu",
     [](const at::Tensor& x, const HyperLayer& layer, const HyperPictures&) { return at::prelu(x, layer.weight); },
     true},
    {"softmax",
     [](const at::Tensor& x, const HyperLayer&, const HyperPictures& pictures) {
       return over_pictures(x, pictures, [](const at::Tensor& rows) { return at::softmax(rows, 0); });
     }},
    {"softmax2d",
     [](const at::Tensor& x, const HyperLayer&, const HyperPictures& pictures) {
       return over_pictures(x, pictures, [](const at::Tensor& rows) { return at::softmax(rows, 0); });
     }},
    {"softmin",
     [](const at::Tensor& x, const HyperLayer&, const HyperPictures& pictures) {
       return over_pictures(x, pictures, [](const at::Tensor& rows) { return at::softmax(-rows, 0); });
     }},
    {"logsoftmax",
     [](const at::Tensor& x, const HyperLayer&, const HyperPictures& pictures) {
       return over_pictures(x, pictures, [](const at::Tensor& rows) { return at::log_softmax(rows, 0); });
     }},
};

at::Tensor run(const std::vector<HyperLayer>& layers, const at::Tensor& x, double weight,
               const std::vector<int64_t>& pictures) {
  at::Tensor h = x;
  for (const HyperLayer& layer : layers) {
    switch (layer.kind) {
      case HyperLayer::Kind::linear:
        h = at::linear(h, layer.weight, layer.bias);
        break;
      case HyperLayer::Kind::norm:
        h = at::layer_norm(h, layer.weight.sizes(), layer.weight, layer.bias, hyper_norm_eps);
        break;
      case HyperLayer::Kind::activation:
        h = layer.activation->apply(h, layer, pictures);
        break;
    }
  }
  return x + h * weight;
}

HyperWidths placed_on(const HyperWidths& widths, at::Device device, at::ScalarType type) {
  HyperWidths placed = widths;
  for (auto& [width, both] : placed) {
    for (std::vector<HyperLayer>& layers : both) {
      for (HyperLayer& layer : layers) {
        if (layer.weight.defined()) layer.weight = layer.weight.to(device, type);
        if (layer.bias.defined()) layer.bias = layer.bias.to(device, type);
      }
    }
  }
  return placed;
}

}  // namespace

const HyperActivation* find_hyper_activation(std::string_view name) {
  const auto* const found = std::ranges::find(hyper_activations, ascii_lower(name), &HyperActivation::name);
  return found == std::end(hyper_activations) ? nullptr : found;
}

std::shared_ptr<const HyperWidths> Hypernetwork::on(at::Device device, at::ScalarType type) const {
  const std::lock_guard lock(mutex_);
  for (const Placed& known : placed_) {
    if (known.device == device && known.type == type) return known.widths;
  }
  auto widths = std::make_shared<const HyperWidths>(placed_on(widths_, device, type));
  placed_.push_back({device, type, widths});
  return widths;
}

AttentionSources apply_hypernetworks(const HypernetworkCall& call, const at::Tensor& source) {
  AttentionSources sources{.keys = source, .values = source};
  for (const auto& [widths, weight] : call.networks) {
    const auto found = widths->find(source.size(-1));
    if (found == widths->end()) continue;
    sources.keys = run(found->second[0], sources.keys, weight, call.pictures);
    sources.values = run(found->second[1], sources.values, weight, call.pictures);
  }
  return sources;
}

}  // namespace sdtorch
