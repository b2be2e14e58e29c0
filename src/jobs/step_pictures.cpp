#include "jobs/step_pictures.hpp"

#include <fmt/format.h>

#include "io/animation.hpp"
#include "io/atomic_file.hpp"
#include "io/image.hpp"
#include "jobs/output_folder.hpp"

namespace sdtorch {
namespace {

constexpr int frame_ms = 100;
constexpr int last_ms = 1500;  // rest on the finished picture before the animation starts over

}  // namespace

StepPictures::StepPictures(std::filesystem::path folder) : folder_(std::move(folder)) { make_folder(folder_); }

void StepPictures::add(const Pipeline& pipeline, const Step& step) {
  pictures_.push_back(pipeline.decode(step.predicted).front());
  write_file_atomically(folder_ / fmt::format("step-{:03}.png", step.index), encode_png(pictures_.back()));
}

void StepPictures::finish() const {
  write_file_atomically(folder_ / "steps.webp", encode_animation(pictures_, frame_ms, last_ms));
}

}  // namespace sdtorch
