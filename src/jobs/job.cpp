#include "jobs/job.hpp"

#include <algorithm>

#include "pipeline/compat.hpp"

namespace sdtorch {
namespace {

constexpr size_t most_waiting = 1'000;  // pictures that a batch is put together from

}  // namespace

Job job_of(const Settings& settings, std::string source) {
  Job job{.choice = settings,
          .request = settings,
          .batch_count = settings.batch_count,
          .batch_size = settings.batch_size,
          .source = std::move(source)};
  draw_variation_seed(job.request);
  return job;
}

Request picture_of(const Job& job, int64_t index) {
  Request picture = job.request;
  move_to_picture(picture, index, job.batch_count);
  return picture;
}

int64_t count_images(const std::vector<Job>& jobs) {
  int64_t images = 0;
  for (const Job& job : jobs) images += job.batch_count;
  return images;
}

void Batches::look_ahead(size_t count) {
  while (waiting_.size() < count && job_ < jobs_.size()) {
    const Job& job = jobs_[job_];
    if (image_ == job.batch_count) {
      ++job_;
      image_ = 0;
      continue;
    }
    const bool wanted = wanted_.empty() || wanted_[static_cast<size_t>(number_)];
    if (wanted) waiting_.push_back({.job = &job, .image = image_, .number = number_});
    ++image_;
    ++number_;
  }
}

Batch Batches::next() {
  Batch batch;
  look_ahead(1);
  if (waiting_.empty()) return batch;
  int64_t room = waiting_.front().job->batch_size;
  if (room > 1) look_ahead(most_waiting);
  for (auto next = waiting_.begin(); next != waiting_.end() && std::ssize(batch.pictures) < room;) {
    const Job& job = *next->job;
    const bool fits =
        batch.pictures.empty() || (job.batch_size > std::ssize(batch.pictures) && *batch.choice == job.choice &&
                                   can_share_batch(batch.pictures.front(), job.request));
    if (!fits) {
      ++next;
      continue;
    }
    room = std::min(room, job.batch_size);
    batch.choice = &job.choice;
    batch.pictures.push_back(picture_of(job, next->image));
    batch.numbers.push_back(next->number);
    batch.jobs.push_back(&job);
    next = waiting_.erase(next);
  }
  return batch;
}

}  // namespace sdtorch
