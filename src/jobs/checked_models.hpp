// What jobs choose, each different choice checked once.
#pragma once

#include <utility>
#include <vector>

#include "sdtorch/pipeline.hpp"

namespace sdtorch {

class CheckedModels {
 public:
  /// Valid until the next call. Throws as Pipeline::check.
  const CheckedModel& get(const ModelChoice& choice);

 private:
  std::vector<std::pair<ModelChoice, CheckedModel>> models_{};
};

}  // namespace sdtorch
