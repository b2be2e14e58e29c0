#include "pipeline/adapted_networks.hpp"

#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <variant>

#include "core/error.hpp"
#include "core/log.hpp"
#include "weights/bind.hpp"

namespace sdtorch {
namespace {

constexpr const char* unet_component = "unet";

torch::nn::Module& network_of(const Components& model, const std::string& component) {
  if (component == unet_component) return *model.unet;
  for (size_t i = 0; i < model.text_encoders.size(); ++i) {
    if (model.description.text_encoders[i].name != component) continue;
    return std::visit([](const auto& network) -> torch::nn::Module& { return *network; }, model.text_encoders[i]);
  }
  throw Error(ErrorKind::bug, {.reason = fmt::format("a LoRA changes {}, which this model has not", component)});
}

/// weight: as its file has it → fp32
at::Tensor with_differences(const at::Tensor& weight,
                            const std::vector<std::pair<const WeightChange*, double>>& parts) {
  const at::Tensor exact = weight.to(at::kFloat);
  at::Tensor sum;
  for (const auto& [change, scale] : parts) {
    const at::Tensor difference = change->difference(exact, scale);
    sum = sum.defined() ? sum + difference : difference;
  }
  return exact + sum;
}

}  // namespace

LoraSet set_at(const std::vector<ResolvedLora>& loras, int64_t unet_step, int64_t text_step, int64_t steps) {
  LoraSet set;
  for (const ResolvedLora& lora : loras) {
    const WeightedLora now{.file = lora.file,
                           .unet = lora.unet.at(unet_step, steps),
                           .text_encoder = lora.text_encoder.at(text_step, steps)};
    if (now.unet != 0 || now.text_encoder != 0) set.push_back(now);
  }
  return set;
}

void AdaptedNetworks::Use::take(const LoraSet& set) const { owner_->switch_to(*model_, *texts_, set); }

AdaptedNetworks::Use AdaptedNetworks::use(const Components& model, TextMemory& texts, const LoraSet& set, bool alone) {
  std::unique_lock lock(mutex_);
  left_.wait(lock, [&] { return users_ == 0 || (!alone && !alone_ && set_ == set); });
  if (users_ == 0) switch_to(model, texts, set);
  ++users_;
  alone_ = alone;
  return Use(this, model, texts);
}

std::optional<AdaptedNetworks::Use> AdaptedNetworks::use_beside(const Components& model, TextMemory& texts,
                                                                const LoraSet& set) {
  const std::lock_guard lock(mutex_);
  if (alone_ || !whole_ || set_ != set) return std::nullopt;
  ++users_;
  return Use(this, model, texts);
}

void AdaptedNetworks::leave() {
  const std::lock_guard lock(mutex_);
  --users_;
  alone_ = false;
  left_.notify_all();
}

void AdaptedNetworks::switch_to(const Components& model, TextMemory& texts, const LoraSet& set) {
  if (whole_ && set_ == set) return;
  const c10::InferenceMode off(false);  // parameters made inside it could not be viewed outside
  whole_ = false;
  std::map<std::string, Parts> wanted;
  for (auto& [component, parts] : parts_) wanted[component];  // what it has may have to go
  for (const WeightedLora& lora : set) {
    kept_.push_back(lora.file);
    for (const WeightChange& change : lora.file->changes) {
      const double scale = change.component == unet_component ? lora.unet : lora.text_encoder;
      if (scale != 0) wanted[change.component][change.key].emplace_back(&change, scale);
    }
  }
  for (auto& [component, parts] : wanted) {
    if (!switch_network(model, component, std::move(parts))) continue;
    if (component == unet_component) {
      model.captured->clear();
    } else {
      texts.clear();
    }
  }
  set_ = set;
  kept_.clear();
  for (const WeightedLora& lora : set) kept_.push_back(lora.file);
  whole_ = true;
}

bool AdaptedNetworks::switch_network(const Components& model, const std::string& component, Parts wanted) {
  Parts& now = parts_[component];
  std::vector<std::string> keys;
  for (const auto& [key, parts] : wanted) {
    const auto known = now.find(key);
    if (known == now.end() || known->second != parts) keys.push_back(key);
  }
  for (const auto& [key, parts] : now) {
    if (!wanted.contains(key)) keys.push_back(key);
  }
  if (keys.empty()) return false;
  const auto start = std::chrono::steady_clock::now();
  StateDict& weights = weights_[component];
  if (weights.empty()) weights = model.description.source->weights(component);
  for (const std::string& key : keys) now[key] = {Part{}};  // nobody knows, until all of them are there
  const auto adapted = [&](const std::string& key, const at::Tensor& weight) {
    const auto parts = wanted.find(key);
    return parts == wanted.end() ? weight : with_differences(weight, parts->second);
  };
  rebind_weights(network_of(model, component), weights, keys, {.dtype = model.dtype, .device = model.device}, adapted);
  now = std::move(wanted);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  log_detail(fmt::format("{}: {} tensors merged anew in {:.2f} s", component, keys.size(), seconds.count()));
  return true;
}

}  // namespace sdtorch
