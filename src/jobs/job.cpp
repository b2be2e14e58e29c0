#include "jobs/job.hpp"

#include <algorithm>

namespace sdtorch {

Job job_of(const Settings& settings, std::string source) {
  return {.request = settings,
          .batch_count = settings.batch_count,
          .batch_size = settings.batch_size,
          .source = std::move(source)};
}

Request picture_of(const Job& job, int64_t index) {
  Request picture = job.request;
  picture.seed += static_cast<uint64_t>(index);
  return picture;
}

std::vector<Request> Batches::next() {
  std::vector<Request> batch;
  int64_t room = 1;
  while (job_ < jobs_.size()) {
    const Job& job = jobs_[job_];
    if (image_ == job.batch_count) {
      ++job_;
      image_ = 0;
      continue;
    }
    room = batch.empty() ? job.batch_size : std::min(room, job.batch_size);
    if (std::ssize(batch) >= room) break;
    if (!batch.empty() && !can_share_batch(batch.front(), job.request)) break;
    batch.push_back(picture_of(job, image_++));
  }
  return batch;
}

}  // namespace sdtorch
