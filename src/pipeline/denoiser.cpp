#include "pipeline/denoiser.hpp"

#include <cmath>
#include <map>
#include <memory>

namespace sdtorch {
namespace {

/// The guidance scale as the network of a guidance-distilled model takes it: w = scale - 1 (Luo et al. 2023,
/// section 4.2), embedded. In fp32 and in the reference's order: an angle is up to 1000 w. → fp32 [1, width]
at::Tensor guidance_embedding(double scale, int64_t width) {
  constexpr float longest_period = 10000;
  const int64_t half = width / 2;
  const at::Tensor w = at::full({1}, scale - 1, at::kFloat) * 1000.0;
  const float step = std::log(longest_period) / static_cast<float>(half - 1);
  const at::Tensor frequencies = (at::arange(half, at::kFloat) * -step).exp();
  const at::Tensor angle = w.unsqueeze(1) * frequencies.unsqueeze(0);
  const at::Tensor waves = at::cat({angle.sin(), angle.cos()}, 1);
  return width % 2 == 0 ? waves : at::constant_pad_nd(waves, {0, 1});
}

/// [1, …] each → [n, …]; undefined where they are.
at::Tensor join(const std::vector<const Condition*>& rows, at::Tensor Condition::*part) {
  if (!(rows.front()->*part).defined()) return {};
  std::vector<at::Tensor> tensors;
  for (const Condition* row : rows) tensors.push_back(row->*part);
  return at::cat(tensors);
}

/// Rows of one network call: those whose contexts are equally long.
struct Group {
  std::vector<int64_t> numbers{};  ///< of its rows; row r belongs to picture r mod B, condition r / B
  at::Tensor context{}, pooled{}, time_ids{}, extra_channels{};
};

class Denoiser {
 public:
  Denoiser(const Components& model, Conditions conditions, double guidance_scale, Steering steering)
      : unet_(model.unet), dtype_(model.dtype), conditions_(std::move(conditions)), steering_(std::move(steering)) {
    if (const int64_t width = model.unet->config().time_cond_proj_dim; width > 0) {
      guidance_ = guidance_embedding(guidance_scale, width).to(model.device);
    }
  }

  at::Tensor operator()(const at::Tensor& x, const DenoiserCall& call) {
    gather(call);
    const int64_t images = x.size(0), rows = std::ssize(current_);
    at::Tensor outputs;  // [rows, 4, h, w]
    if (groups_.size() == 1) {
      outputs = evaluate(groups_.front(), repeated(x, rows / images), call);
    } else {
      std::vector<at::Tensor> by_row(current_.size());
      for (const Group& group : groups_) {
        std::vector<at::Tensor> samples;
        for (const int64_t row : group.numbers) samples.push_back(x.slice(0, row % images, row % images + 1));
        const at::Tensor output = evaluate(group, at::cat(samples), call);
        for (size_t i = 0; i < group.numbers.size(); ++i) {
          const auto at = static_cast<int64_t>(i);
          by_row[static_cast<size_t>(group.numbers[i])] = output.slice(0, at, at + 1);
        }
      }
      outputs = at::cat(by_row);
    }
    ++calls_;
    return conditions_.combine(outputs.split(images), call);
  }

 private:
  static at::Tensor repeated(const at::Tensor& x, int64_t times) {
    return times == 1 ? x : at::cat(std::vector<at::Tensor>(static_cast<size_t>(times), x));
  }

  at::Tensor evaluate(const Group& group, const at::Tensor& sample, const DenoiserCall& call) {
    UNetInput input{.sample = sample.to(dtype_),
                    .timestep = at::full({sample.size(0)}, call.timestep, sample.options().dtype(at::kFloat)),
                    .context = group.context,
                    .pooled = group.pooled,
                    .time_ids = group.time_ids};
    if (group.extra_channels.defined()) input.extra_channels = group.extra_channels.to(dtype_);
    if (guidance_.defined()) input.guidance = guidance_.repeat({sample.size(0), 1});
    if (steering_) {
      const auto pictures = std::ssize(conditions_.pictures);
      steering_(input, {.numbers = group.numbers,
                        .pictures = pictures,
                        .conditions = std::ssize(current_) / pictures,
                        .call = calls_});
    }
    return unet_->forward(input).to(at::kFloat);
  }

  /// The conditions that hold at this call, and the groups that they make where they are others than before.
  void gather(const DenoiserCall& call) {
    std::vector<const Condition*> rows;
    for (size_t c = 0; c < conditions_.pictures.front().size(); ++c) {
      for (const auto& list : conditions_.pictures) rows.push_back(&list[c](call));
    }
    if (rows == current_) return;
    current_ = std::move(rows);
    std::map<int64_t, std::vector<int64_t>> by_length;
    for (size_t r = 0; r < current_.size(); ++r) {
      by_length[current_[r]->context.size(1)].push_back(static_cast<int64_t>(r));
    }
    groups_.clear();
    for (auto& [length, numbers] : by_length) {
      std::vector<const Condition*> members;
      for (const int64_t r : numbers) members.push_back(current_[static_cast<size_t>(r)]);
      groups_.push_back({.numbers = std::move(numbers),
                         .context = join(members, &Condition::context),
                         .pooled = join(members, &Condition::pooled),
                         .time_ids = join(members, &Condition::time_ids),
                         .extra_channels = join(members, &Condition::extra_channels)});
    }
  }

  std::shared_ptr<UNet2DConditionModel> unet_;
  at::ScalarType dtype_;
  Conditions conditions_;
  Steering steering_;
  int64_t calls_ = 0;
  at::Tensor guidance_{};                    ///< fp32 [1, time_cond_proj_dim]
  std::vector<const Condition*> current_{};  ///< a row each, all pictures of the first condition in front
  std::vector<Group> groups_{};
};

}  // namespace

Model denoiser(const Components& model, Conditions conditions, double guidance_scale, Steering steering) {
  auto shared = std::make_shared<Denoiser>(model, std::move(conditions), guidance_scale, std::move(steering));
  return [shared](const at::Tensor& x, const DenoiserCall& call) { return (*shared)(x, call); };
}

}  // namespace sdtorch
