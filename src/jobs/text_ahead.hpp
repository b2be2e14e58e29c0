// The next batch's prompts, read while the U-Net works on this one.
#pragma once

#include <future>
#include <vector>

#include "sdtorch/pipeline.hpp"

namespace sdtorch {

class TextAhead {
 public:
  TextAhead() = default;
  TextAhead(const TextAhead&) = delete;
  TextAhead& operator=(const TextAhead&) = delete;
  /// Waits for it.
  ~TextAhead() { finish(); }

  /// Begins in a thread of its own where there is room beside the drawing (Pipeline::prepares_beside), unless it has
  /// begun. The pipeline must stay until finish. What is wrong with the pictures is told when they are drawn.
  void begin(const Pipeline& pipeline, const std::vector<Request>& pictures);

  /// Waits for what was begun, if anything was.
  void finish();

 private:
  std::future<void> running_{};
};

}  // namespace sdtorch
