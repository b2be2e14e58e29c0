#include "jobs/automatic_batch.hpp"

#include <algorithm>
#include <optional>

#include "core/free_memory.hpp"
#include "pipeline/memory_need.hpp"

namespace sdtorch {
namespace {

/// Latent pixels of what the U-Net works on at last.
double latent_area(const PipelineDescription& model, const Request& whole) {
  const auto factor = static_cast<double>(model.model.vae.factor());
  const double scale = whole.hires_scale.value_or(1);
  return static_cast<double>(whole.width.value()) * static_cast<double>(whole.height.value()) * scale * scale /
         (factor * factor);
}

/// Of each picture: see Conditions.
double conditions_of(const PipelineDescription& model, const Request& request) {
  const bool guided = (request.cfg_scale != 1 && request.cfg_scale != 0) || request.cfg_plus_plus;
  const bool of_pictures = model.model.task == Task::instruct_pix2pix;
  return 1 + guided + of_pictures + (request.pag_scale != 0);
}

/// The size filled in, without reading pictures where nothing asks for theirs.
Request with_size(const CheckedModel& model, Request request) {
  const ModelDescription& own = model.description().model;
  const bool of_picture = !request.init_img.empty() || !request.control_image.empty();
  if (of_picture && !(request.width && request.height)) return model.check(request).request;
  request.width = request.width.value_or(own.unet.sample_size * own.vae.factor());
  request.height = request.height.value_or(own.unet.sample_size * own.vae.factor());
  return request;
}

}  // namespace

uint64_t bytes_while_drawing(const PipelineDescription& model, const Request& whole) {
  return static_cast<uint64_t>(conditions_of(model, whole) * bytes_a_latent_pixel(model.model, model.dtype) *
                               latent_area(model, whole));
}

int64_t quickest_batch(const PipelineDescription& model, const Request& whole) {
  if (model.choice.deterministic) return 1;
  // Latent pixels times channels that keep the machine busy: of 16 pictures of 512² by SD1.5, or of eight by the
  // built-in model, whose share of the CPU's time falls up to there.
  constexpr double busy_gpu = 16.0 * 64 * 64 * 320, busy_cpu = 8.0 * 16 * 16 * 64;
  constexpr int64_t most = 64;  // pictures that a kill would lose
  const double work = latent_area(model, whole) * static_cast<double>(model.model.unet.levels.front().channels);
  const double pictures = (model.device.is_cuda() ? busy_gpu : busy_cpu) / work;
  return std::clamp(static_cast<int64_t>(pictures), int64_t{1}, most);
}

int64_t AutomaticBatch::size_for(const Job& job) {
  const CheckedModel& model = models_.get(job.choice);
  const PipelineDescription& description = model.description();
  const Request whole = with_size(model, job.request);
  const int64_t quickest = std::min(quickest_batch(description, whole), most_);
  const std::optional<FreeMemory> free =
      description.device.is_cuda() ? free_device_memory(description.device) : free_memory();
  if (!free) return quickest;
  constexpr double share = 0.8;  // the rest is the VAE's, and that of others
  const double fitting = share * static_cast<double>(free->bytes) /
                         static_cast<double>(std::max<uint64_t>(bytes_while_drawing(description, whole), 1));
  return std::clamp(static_cast<int64_t>(fitting), int64_t{1}, quickest);
}

void AutomaticBatch::did_not_fit(int64_t pictures) { most_ = std::max<int64_t>(std::min(most_, pictures / 2), 1); }

}  // namespace sdtorch
