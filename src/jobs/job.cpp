#include "jobs/job.hpp"

#include <algorithm>

#include "pipeline/compat.hpp"

namespace sdtorch {

Job job_of(const Settings& settings, std::string source) {
  Job job{.choice = settings,
          .request = settings,
          .batch_count = settings.batch_count,
          .batch_size = settings.batch_size,
          .source = std::move(source)};
  draw_variation_seed(job.request);
  return job;
}

int64_t count_images(const std::vector<Job>& jobs) {
  int64_t images = 0;
  for (const Job& job : jobs) images += job.batch_count;
  return images;
}

Request picture_of(const Job& job, int64_t index) {
  Request picture = job.request;
  move_to_picture(picture, index, job.batch_count);
  return picture;
}

Batch Batches::next() {
  Batch batch;
  int64_t room = 1;
  while (job_ < jobs_.size()) {
    const Job& job = jobs_[job_];
    if (image_ == job.batch_count) {
      ++job_;
      image_ = 0;
      continue;
    }
    std::vector<Request>& pictures = batch.pictures;
    room = pictures.empty() ? job.batch_size : std::min(room, job.batch_size);
    if (std::ssize(pictures) >= room) break;
    const bool fits =
        pictures.empty() || (*batch.choice == job.choice && can_share_batch(pictures.front(), job.request));
    if (!fits) break;
    batch.choice = &job.choice;
    pictures.push_back(picture_of(job, image_++));
  }
  return batch;
}

}  // namespace sdtorch
