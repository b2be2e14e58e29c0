#include "pipeline/steering.hpp"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "diffusion/start.hpp"

namespace sdtorch {
namespace {

using Batch = std::span<const ResolvedRequest>;

/// One net's picture, with the depth that has waited for its estimator.
at::Tensor picture_of(const Components& model, const ResolvedRequest& resolved, size_t net) {
  const ResolvedControl& control = resolved.controls[net];
  if (!control.of_depth) return control.picture;
  const GreyImage depth = model.depth_estimator->depth_picture(*control.of_depth);
  return control_tensor(to_rgb(depth), model.description.controls[net].picture_channels(), resolved.request);
}

/// One net's pictures, [B, C, H, W], or one where all are the same.
at::Tensor pictures_of(const Components& model, Batch batch, size_t net) {
  std::vector<at::Tensor> pictures;
  for (const ResolvedRequest& resolved : batch) pictures.push_back(picture_of(model, resolved, net));
  const bool same = std::ranges::all_of(pictures, [&](const at::Tensor& p) { return p.equal(pictures.front()); });
  return same ? pictures.front() : at::cat(pictures);
}

/// int64 indices of rows.
at::Tensor indices(const std::vector<int64_t>& rows, at::Device device) {
  return at::tensor(rows, at::TensorOptions(at::kLong)).to(device);
}

/// What one picture gives to all rows, or each picture to its own.
at::Tensor for_rows(const at::Tensor& of_pictures, const NetworkRows& rows) {
  if (of_pictures.size(0) == 1) return of_pictures;
  std::vector<int64_t> pictures;
  for (const int64_t row : rows.numbers) pictures.push_back(row % rows.pictures);
  return of_pictures.index_select(0, indices(pictures, of_pictures.device()));
}

/// The rows of a call that a net sees.
struct SeenRows {
  std::vector<int64_t> places{};   ///< of the call's rows
  std::vector<int64_t> numbers{};  ///< theirs: see NetworkRows
};

SeenRows seen_rows(const NetworkRows& rows, bool guided_alone) {
  SeenRows seen;
  for (size_t i = 0; i < rows.numbers.size(); ++i) {
    const int64_t number = rows.numbers[i];
    if (guided_alone && rows.conditions > 1 && number < rows.pictures) continue;
    seen.places.push_back(static_cast<int64_t>(i));
    seen.numbers.push_back(number);
  }
  return seen;
}

UNetInput selected(const UNetInput& input, const at::Tensor& places) {
  const auto part = [&](const at::Tensor& tensor) {
    return tensor.defined() ? tensor.index_select(0, places) : tensor;
  };
  return {.sample = part(input.sample),
          .timestep = part(input.timestep),
          .context = part(input.context),
          .pooled = part(input.pooled),
          .time_ids = part(input.time_ids)};
}

/// Zeros for the rows that the net did not see.
at::Tensor spread(const at::Tensor& residual, const at::Tensor& places, int64_t rows) {
  std::vector<int64_t> shape = residual.sizes().vec();
  shape.front() = rows;
  return at::zeros(shape, residual.options()).index_copy_(0, places, residual);
}

class ControlNetSteering {
 public:
  ControlNetSteering(std::shared_ptr<const ControlNet> net, const ResolvedControl& control, const at::Tensor& pictures)
      : net_(std::move(net)),
        hint_(net_->embed(pictures)),
        weights_(net_->weights(control.mode, control.strength)),
        guided_alone_(control.mode == ControlMode::control || net_->config().global_pool_conditions) {}

  void operator()(UNetInput& input, const NetworkRows& rows) const {
    const SeenRows seen = seen_rows(rows, guided_alone_);
    if (seen.places.empty()) return;
    if (seen.places.size() == rows.numbers.size()) {
      return add_residuals(input, net_->forward(input, for_rows(hint_, rows), weights_));
    }
    NetworkRows own = rows;
    own.numbers = seen.numbers;
    const at::Tensor places = indices(seen.places, input.sample.device());
    ControlResiduals residuals = net_->forward(selected(input, places), for_rows(hint_, own), weights_);
    const int64_t all = input.sample.size(0);
    for (at::Tensor& residual : residuals.down) residual = spread(residual, places, all);
    residuals.mid = spread(residuals.mid, places, all);
    add_residuals(input, residuals);
  }

 private:
  std::shared_ptr<const ControlNet> net_;
  at::Tensor hint_;
  std::vector<double> weights_;
  bool guided_alone_;  ///< of several conditions the first is not steered
};

class AdapterSteering {
 public:
  AdapterSteering(const T2IAdapter& adapter, const ResolvedControl& control, const at::Tensor& pictures)
      : features_(adapter.forward(pictures)), guided_alone_(control.mode == ControlMode::control) {
    const std::vector<double> weights = adapter.weights(control.mode, control.strength);
    for (size_t i = 0; i < features_.size(); ++i) features_[i] = features_[i] * weights[i];
  }

  void operator()(UNetInput& input, const NetworkRows& rows) const {
    const SeenRows seen = seen_rows(rows, guided_alone_);
    if (seen.places.empty()) return;
    std::vector<at::Tensor>& all = input.block_residuals;
    all.resize(std::max(all.size(), features_.size()));
    for (size_t i = 0; i < features_.size(); ++i) {
      const at::Tensor feature = of_seen(features_[i], rows, seen);
      all[i] = all[i].defined() ? all[i] + feature : feature;
    }
  }

 private:
  static at::Tensor of_seen(const at::Tensor& feature, const NetworkRows& rows, const SeenRows& seen) {
    if (seen.places.size() == rows.numbers.size()) return for_rows(feature, rows);
    NetworkRows own = rows;
    own.numbers = seen.numbers;
    std::vector<int64_t> shape = feature.sizes().vec();
    shape.front() = std::ssize(seen.places);
    return spread(for_rows(feature, own).expand(shape), indices(seen.places, feature.device()),
                  std::ssize(rows.numbers));
  }

  std::vector<at::Tensor> features_;  ///< weighted
  bool guided_alone_;                 ///< see ControlNetSteering
};

/// A net, and when it steers.
struct Part {
  ResolvedControl control{};
  Steering steer{};
  int64_t calls = 0;  ///< of which control.end is a share
};

Steering steering_of(const ControlNetwork& network, const ResolvedControl& control, const at::Tensor& pictures) {
  if (const auto* net = std::get_if<std::shared_ptr<const ControlNet>>(&network)) {
    return ControlNetSteering(*net, control, pictures);
  }
  return AdapterSteering(*std::get<std::shared_ptr<const T2IAdapter>>(network), control, pictures);
}

/// Of the whole run: a refiner's are not steered, but count.
int64_t calls_of(const ResolvedRequest& resolved) {
  return std::ssize(resolved.plan.timesteps) +
         (resolved.refiner_plan ? std::ssize(resolved.refiner_plan->timesteps) : 0);
}

/// What diffusers takes for the number of calls with an SDXL model's adapter: that of the steps, although samplers that
/// call twice have more. They are not steered to their end.
int64_t calls_with_xl_adapter(const ResolvedRequest& resolved) {
  if (resolved.refiner_plan) return std::ssize(resolved.plan.timesteps);
  return resolved.start ? steps_of(resolved.plan) : resolved.request.steps;
}

}  // namespace

Steering steered_by_pictures(const Components& model, Batch batch) {
  if (model.controls.empty()) return {};
  std::vector<Part> parts;
  for (size_t i = 0; i < model.controls.size(); ++i) {
    const ResolvedControl& control = batch.front().controls[i];
    const at::Tensor pictures = pictures_of(model, batch, i).to(model.device, model.dtype);
    const bool xl_adapter =
        model.description.xl && std::holds_alternative<std::shared_ptr<const T2IAdapter>>(model.controls[i]);
    parts.push_back({.control = control,
                     .steer = steering_of(model.controls[i], control, pictures),
                     .calls = xl_adapter ? calls_with_xl_adapter(batch.front()) : calls_of(batch.front())});
  }
  return [parts = std::move(parts)](UNetInput& input, const NetworkRows& rows) {
    for (const Part& part : parts) {
      if (part.control.steers(rows.call, part.calls)) part.steer(input, rows);
    }
  };
}

}  // namespace sdtorch
