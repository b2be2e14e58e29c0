// The model that draws a run's batches, changed where the next batch chooses another, and what is done where drawing
// fails that may succeed otherwise.
#pragma once

#include <optional>
#include <vector>

#include "jobs/checked_models.hpp"
#include "jobs/text_ahead.hpp"
#include "sdtorch/pipeline.hpp"

namespace sdtorch {

/// Pictures, and what drew them.
struct DrawnBatch {
  std::vector<Picture> pictures{};
  const ModelChoice* choice =
      nullptr;  ///< with device and type as they were resolved; lives as long as the drawer's models
};

class Drawer {
 public:
  /// models: must outlive it.
  explicit Drawer(CheckedModels& models) : models_(models) {}

  /// Opens what draws this, unless it is open; what was open before leaves memory first. Throws as Pipeline::open.
  const Pipeline& open(const ModelChoice& choice);

  /// One picture a request. A picture alone whose numbers do not stay finite in a narrower type is drawn again by the
  /// model in fp32, which is said and noted. Throws sdtorch::Error; memory that is not to be had is ErrorKind::memory,
  /// and what nobody expected ErrorKind::bug.
  DrawnBatch draw(const ModelChoice& choice, const std::vector<Request>& pictures, const Observer& observer);

  /// For an observer of a drawing: reads the prompts of what comes next beside it, where the same networks draw it.
  void read_ahead(const ModelChoice& choice, const std::vector<Request>& pictures);

  /// What draws now: for an observer.
  const Pipeline& drawing() const { return *drawing_; }

 private:
  /// A choice and what it opened.
  struct Opened {
    ModelChoice choice{};
    Pipeline pipeline;
  };

  std::vector<Picture> draw_as_asked(const ModelChoice& choice, const std::vector<Request>& pictures,
                                     const Observer& observer);
  /// before: what became of it as it was asked for.
  DrawnBatch draw_in_fp32(const ModelChoice& choice, const std::vector<Request>& pictures, const Observer& observer,
                          const Error& before);
  const Pipeline& open_wide(const ModelChoice& choice);

  CheckedModels& models_;
  std::optional<Opened> opened_{};
  std::optional<Opened> wide_{};       ///< in fp32, kept for the next picture that needs it where memory holds both
  const Pipeline* drawing_ = nullptr;  ///< the one of them that drew last
  /// Memory has once been short: oneDNN's generator of code does not forget that as long as a thread lives, and fails
  /// in it ever after. So each later batch is drawn in a new one.
  bool was_short_ = false;
  TextAhead ahead_{};  ///< of opened_: last, so that it ends first
};

}  // namespace sdtorch
