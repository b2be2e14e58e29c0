// The model that draws a run's batches, changed where the next batch chooses another.
#pragma once

#include <optional>
#include <vector>

#include "jobs/checked_models.hpp"
#include "sdtorch/pipeline.hpp"

namespace sdtorch {

class Drawer {
 public:
  /// models: must outlive it.
  explicit Drawer(CheckedModels& models) : models_(models) {}

  /// Opens what draws this, unless it is open; what was open before leaves memory first. Throws as Pipeline::open.
  const Pipeline& open(const ModelChoice& choice);

  /// One picture a request. Throws sdtorch::Error; memory that is not to be had is ErrorKind::memory.
  std::vector<Picture> draw(const ModelChoice& choice, const std::vector<Request>& pictures, const Observer& observer);

 private:
  CheckedModels& models_;
  std::optional<ModelChoice> opened_{};
  std::optional<Pipeline> pipeline_{};
};

}  // namespace sdtorch
