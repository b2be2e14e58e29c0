#include "jobs/step_pictures.hpp"

#include <fmt/format.h>

#include "io/animation.hpp"
#include "io/atomic_file.hpp"
#include "io/image.hpp"
#include "io/resize.hpp"
#include "jobs/journal.hpp"
#include "jobs/output_folder.hpp"

namespace sdtorch {
namespace {

constexpr int frame_ms = 100;
constexpr int last_ms = 1500;  // rest on the finished picture before the animation starts over

}  // namespace

StepPictures::StepPictures(std::filesystem::path folder) : folder_(std::move(folder)) { make_folder(folder_); }

void StepPictures::add(const Pipeline& pipeline, const Step& step, const Request& request) {
  pictures_.push_back(pipeline.decode(step.predicted, request).front());
  const std::filesystem::path file = folder_ / fmt::format("step-{:03}.png", step.index);
  check_unrecorded(file);
  write_file_atomically(file, encode_png(pictures_.back()));
}

void StepPictures::finish() const {
  std::vector<Image> frames = pictures_;
  for (Image& frame : frames) {  // those before a larger pass are smaller
    const Image& last = pictures_.back();
    if (frame.width != last.width || frame.height != last.height)
      frame = fit(frame, last.width, last.height, Fit::stretch);
  }
  write_file_atomically(folder_ / "steps.webp", encode_animation(frames, frame_ms, last_ms));
}

}  // namespace sdtorch
