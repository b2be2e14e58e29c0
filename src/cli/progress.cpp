#include "cli/progress.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace sdtorch {
namespace {

constexpr double shortest = 1e-6;  // seconds: no rate is infinite

/// A bar of which `share` is filled between what stands left and right of it; never wider than the terminal.
std::string with_bar(const std::string& left, double share, const std::string& right, int columns) {
  constexpr int64_t widest = 40, narrowest = 5, brackets = 2;
  const int64_t room = columns - 1 - static_cast<int64_t>(left.size() + right.size()) - brackets;
  const int64_t width = std::min(room, widest);
  if (width < narrowest) return (left + right.substr(1)).substr(0, static_cast<size_t>(std::max(columns - 1, 0)));
  const auto filled =
      static_cast<size_t>(std::clamp(static_cast<double>(width) * share, 0.0, static_cast<double>(width)));
  return left + "[" + std::string(filled, '=') + std::string(static_cast<size_t>(width) - filled, ' ') + "]" + right;
}

std::string images(int64_t count) { return fmt::format("{} image{}", count, count == 1 ? "" : "s"); }

}  // namespace

std::string duration(double seconds) {
  const auto whole = static_cast<int64_t>(std::ceil(std::min(seconds, 1e9)));
  if (whole < 60) return fmt::format("{}s", whole);
  if (whole < 3600) return fmt::format("{}m{:02}s", whole / 60, whole % 60);
  if (whole < 86400) return fmt::format("{}h{:02}m", whole / 3600, whole / 60 % 60);
  return fmt::format("{}d{:02}h", whole / 86400, whole / 3600 % 24);
}

std::string rate(double per_second, const char* each, const char* one) {
  return per_second >= 1 ? fmt::format("{:.1f} {}/s", per_second, each)
                         : fmt::format("{:.1f} s/{}", 1 / std::max(per_second, shortest), one);
}

std::string progress_line(const std::string& prefix, int64_t done, int64_t count, double seconds, int columns) {
  const double per_second = static_cast<double>(done) / std::max(seconds, shortest);
  const std::string left = fmt::format("{}step {}/{} ", prefix, done, count);
  const std::string right =
      fmt::format(" {}, {} left", rate(per_second), duration(static_cast<double>(count - done) / per_second));
  return with_bar(left, static_cast<double>(done) / static_cast<double>(std::max<int64_t>(count, 1)), right, columns);
}

void RunProgress::batch(int64_t count, int64_t total, double now) {
  if (!begun_) start_ = now;
  begun_ = true;
  const bool whole = flying_ > 0 && steps_ > 0 && step_ == steps_;
  if (steps_ > 0 && step_ == steps_) {  // else it was given up
    step_seconds_ += last_step_ - batch_start_;
    batch_seconds_ += now - batch_start_;
  }
  if (whole) pending_ += flying_;
  flying_ = count;
  total_ = total;
  step_ = steps_ = 0;
  batch_start_ = last_step_ = now;
}

void RunProgress::step(int64_t done, int64_t count, double now) {
  step_ = done;
  steps_ = count;
  last_step_ = now;
}

void RunProgress::take_off(int64_t& counter) {
  ++counter;
  int64_t& from = pending_ > 0 ? pending_ : flying_;
  if (from > 0) --from;
}

double RunProgress::drawn() const {
  // Of a batch's time its steps are a part that the first batch does not tell yet.
  const double share = batch_seconds_ > 0 ? step_seconds_ / batch_seconds_ : 1;
  const double part = steps_ > 0 ? static_cast<double>(step_) / static_cast<double>(steps_) * share : 0;
  return static_cast<double>(finished_ + failed_ + pending_) + static_cast<double>(flying_) * part;
}

double RunProgress::images_per_second(double now) const { return drawn() / std::max(seconds(now), shortest); }

double RunProgress::seconds_left(double now) const {
  const double left = std::max(0.0, static_cast<double>(total()) - done());
  const double per_second = images_per_second(now);
  return per_second > 0 ? left / per_second : 0;
}

std::string RunProgress::bar(double now, int columns) const {
  const int64_t all = std::max<int64_t>(total(), 1);
  const int64_t first = std::min(before_ + finished_ + failed_ + pending_ + 1, all);
  const int64_t last = std::min(first + std::max<int64_t>(flying_, 1) - 1, all);
  const std::string numbers =
      last > first ? fmt::format("images {}-{}/{}", first, last, all) : fmt::format("image {}/{}", first, all);
  const double share = done() / static_cast<double>(all);
  return with_bar(
      is_stepping() ? fmt::format("{} step {}/{} ", numbers, step_, steps_) : numbers + " ", share,
      fmt::format(" {}, {} left", rate(images_per_second(now), "images", "image"), duration(seconds_left(now))),
      columns);
}

std::string RunProgress::line(double now) const {
  return fmt::format("{}/{} images, {}, {} left", settled(), total(), rate(images_per_second(now), "images", "image"),
                     duration(seconds_left(now)));
}

std::string RunProgress::summary(double now) const {
  std::string text = fmt::format("{} in {}", images(finished_), duration(seconds(now)));
  if (finished_ > 0) {
    text += ", " + rate(static_cast<double>(finished_) / std::max(seconds(now), shortest), "images", "image");
  }
  if (failed_ > 0) text += fmt::format(", {} failed", failed_);
  if (before_ > 0) text += fmt::format(", {} done before", before_);
  return text;
}

}  // namespace sdtorch
