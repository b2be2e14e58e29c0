#include "core/profile.hpp"

#include <map>
#include <mutex>
#include <utility>

namespace sdtorch {
namespace {

std::mutex profile_mutex;
std::map<std::pair<LayerKind, MatrixProduct>, LayerCost> recorded_costs;
std::function<void()> settle_device;

thread_local LayerTimer* current_layer = nullptr;

}  // namespace

LayerProfile::LayerProfile(std::function<void()> settle) {
  const std::lock_guard lock(profile_mutex);
  recorded_costs.clear();
  settle_device = std::move(settle);
  LayerTimer::recording_ = true;
}

LayerProfile::~LayerProfile() { LayerTimer::recording_ = false; }

std::vector<LayerCost> LayerProfile::take() {
  const std::lock_guard lock(profile_mutex);
  std::vector<LayerCost> costs;
  for (const auto& [key, cost] : std::exchange(recorded_costs, {})) costs.push_back(cost);
  return costs;
}

void LayerTimer::begin() {
  settle_device();
  running_ = true;
  outer_ = std::exchange(current_layer, this);
  start_ = std::chrono::steady_clock::now();
}

void LayerTimer::end() {
  settle_device();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  current_layer = outer_;
  if (outer_) outer_->inside_ += seconds;
  const std::lock_guard lock(profile_mutex);
  LayerCost& cost = recorded_costs[{kind_, product_}];
  cost.kind = kind_;
  cost.product = product_;
  ++cost.calls;
  cost.seconds += seconds - inside_;
}

}  // namespace sdtorch
