// `--save-steps`: the picture as it evolves.
#pragma once

#include <filesystem>
#include <vector>

#include "sdtorch/pipeline.hpp"

namespace sdtorch {

/// Writes what each step predicts the picture to be as step-000.png, step-001.png, …, and at the end all of them as
/// steps.webp, an animation.
class StepPictures {
 public:
  /// Makes the folder. Throws ErrorKind::output.
  explicit StepPictures(std::filesystem::path folder);

  /// Decodes the step's predicted x0 as the request's picture is and writes it. Throws ErrorKind::output,
  /// ErrorKind::non_finite.
  void add(const Pipeline& pipeline, const Step& step, const Request& request);

  /// Writes the animation.
  void finish() const;

 private:
  std::filesystem::path folder_;
  std::vector<Image> pictures_{};
};

}  // namespace sdtorch
