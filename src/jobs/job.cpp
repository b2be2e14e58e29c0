#include "jobs/job.hpp"

#include <algorithm>

#include "pipeline/batch_size.hpp"
#include "pipeline/compat.hpp"
#include "pipeline/prompt_tags.hpp"

namespace sdtorch {
namespace {

constexpr size_t most_waiting = 1'000;  // pictures that a batch is put together from

/// Whether the networks need not change from one to the other.
bool same_adapters(const Request& a, const Request& b) { return a.lora == b.lora && same_tags(a, b); }

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

const Job* Batches::next_job() {
  look_ahead(1);
  return waiting_.empty() ? nullptr : waiting_.front().job;
}

int64_t Batches::size_for(const Job& job) const {
  if (job.batch_size != automatic_batch_size) return job.batch_size;
  return automatic_ ? automatic_(job) : 1;
}

size_t Batches::first_of_batch() {
  const auto goes_on = [&](const Waiting& one) {
    return one.job == last_ || (one.job->choice == last_->choice && same_adapters(one.job->request, last_->request));
  };
  if (!last_ || goes_on(waiting_.front())) return 0;
  look_ahead(most_waiting);
  const auto found = std::ranges::find_if(waiting_, goes_on);
  return found == waiting_.end() ? 0 : static_cast<size_t>(found - waiting_.begin());
}

Batch Batches::next() {
  Batch batch;
  look_ahead(1);
  if (waiting_.empty()) return batch;
  const size_t first = first_of_batch();
  last_ = waiting_[first].job;
  const int64_t size = size_for(*last_);
  if (size > 1) look_ahead(most_waiting);
  int64_t room = size;
  auto next = waiting_.begin() + static_cast<std::ptrdiff_t>(first);
  while (next != waiting_.end() && std::ssize(batch.pictures) < room) {
    const Job& job = *next->job;
    const int64_t own = job.batch_size == automatic_batch_size ? size : job.batch_size;
    const bool fits = batch.pictures.empty() || (own > std::ssize(batch.pictures) && *batch.choice == job.choice &&
                                                 can_share_batch(batch.pictures.front(), job.request));
    if (!fits) {
      ++next;
      continue;
    }
    room = std::min(room, own);
    batch.choice = &job.choice;
    batch.pictures.push_back(picture_of(job, next->image));
    batch.numbers.push_back(next->number);
    batch.jobs.push_back(&job);
    next = waiting_.erase(next);
  }
  return batch;
}

}  // namespace sdtorch
