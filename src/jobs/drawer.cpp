#include "jobs/drawer.hpp"

#include "core/out_of_memory.hpp"

namespace sdtorch {

const Pipeline& Drawer::open(const ModelChoice& choice) {
  if (!opened_ || *opened_ != choice) {
    opened_.reset();
    pipeline_.reset();
    pipeline_.emplace(Pipeline::open(models_.get(choice)));
    opened_ = choice;
  }
  return *pipeline_;
}

std::vector<Picture> Drawer::draw(const ModelChoice& choice, const std::vector<Request>& pictures,
                                  const Observer& observer) {
  const Pipeline& pipeline = open(choice);
  return naming_out_of_memory([&] { return pipeline.draw(pictures, observer); });
}

}  // namespace sdtorch
