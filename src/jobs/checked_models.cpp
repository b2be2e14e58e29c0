#include "jobs/checked_models.hpp"

#include <algorithm>

namespace sdtorch {

const CheckedModel& CheckedModels::get(const ModelChoice& choice) {
  const auto known = std::ranges::find_if(models_, [&](const auto& one) { return one.first == choice; });
  if (known != models_.end()) return known->second;
  models_.emplace_back(choice, Pipeline::check(choice));
  return models_.back().second;
}

}  // namespace sdtorch
