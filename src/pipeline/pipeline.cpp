#include "sdtorch/pipeline.hpp"

#include <algorithm>

#include "core/device.hpp"
#include "core/error.hpp"
#include "core/kept_memory.hpp"
#include "io/atomic_file.hpp"
#include "io/image.hpp"
#include "pipeline/compat.hpp"
#include "pipeline/decode.hpp"
#include "pipeline/draw.hpp"
#include "pipeline/memory_need.hpp"
#include "pipeline/metadata.hpp"
#include "pipeline/pipeline_description.hpp"
#include "pipeline/tiling.hpp"

namespace sdtorch {
namespace {

ResolvedRequest resolve_for(const PipelineDescription& described, const Request& request) {
  return resolve(described.model, request, described.refiner ? &*described.refiner : nullptr);
}

void check_shared(std::span<const Request> batch) {
  for (const Request& request : batch) {
    if (can_share_batch(batch.front(), request)) continue;
    throw Error(ErrorKind::usage,
                {.reason = "the pictures of a batch differ in more than prompts, seeds, sizes told and starts"});
  }
}

/// What a guided picture of the model's own size is drawn in is filled with zeros by the system while the model is
/// loaded, and not in the first step.
void ready_memory_for(const ModelDescription& model, at::ScalarType dtype) {
  constexpr double most = size_t{128} << 20;  // a larger picture's step takes long enough
  constexpr double conditions = 2;
  const auto side = static_cast<double>(model.unet.sample_size);
  ready_memory(static_cast<size_t>(std::min(conditions * side * side * bytes_a_latent_pixel(model, dtype), most)));
}

/// Each different one once.
std::vector<std::string> notes_of(const Drawn& drawn, size_t picture) {
  std::vector<std::string> notes = drawn.notes;
  const auto add = [&](const char* note) {
    if (std::ranges::find(notes, note) == notes.end()) notes.emplace_back(note);
  };
  if (drawn.again_in_fp32[picture]) add(fp32_note);
  if (drawn.in_tiles[picture]) add(tiles_note);
  return notes;
}

}  // namespace

CheckedModel::CheckedModel(std::shared_ptr<const PipelineDescription> description)
    : description_(std::move(description)) {}

const ModelChoice& CheckedModel::choice() const { return description_->choice; }

std::string CheckedModel::name() const { return model_name(description_->choice); }

CheckedRequest CheckedModel::check(const Request& request) const {
  ResolvedRequest resolved = resolve_for(*description_, request);
  return {.request = std::move(resolved.request),
          .sampler = std::string(resolved.plan.sampler->name),
          .warnings = std::move(resolved.warnings)};
}

CheckedModel Pipeline::check(const ModelChoice& choice) {
  return CheckedModel(std::make_shared<const PipelineDescription>(describe_pipeline(choice)));
}

Pipeline Pipeline::open(const ModelChoice& choice) { return open(check(choice)); }

Pipeline Pipeline::open(const CheckedModel& model) {
  const PipelineDescription& described = model.description();
  use_exact_fp32();
  if (described.choice.deterministic) use_deterministic_algorithms();
  const Quantization quantization = quantization_of(described.choice.quantize);
  auto networks = std::make_unique<PipelineNetworks>();
  networks->model = load_components(described.model, described.device, described.dtype, quantization);
  if (described.refiner) {
    networks->refiner = load_components(*described.refiner, described.device, described.dtype, quantization);
  }
  if (described.device.is_cpu()) ready_memory_for(described.model, described.dtype);
  return Pipeline(model, std::move(networks));
}

Pipeline::Pipeline(CheckedModel model, std::unique_ptr<PipelineNetworks> networks)
    : model_(std::move(model)), networks_(std::move(networks)) {}

Pipeline::~Pipeline() = default;
Pipeline::Pipeline(Pipeline&&) noexcept = default;
Pipeline& Pipeline::operator=(Pipeline&&) noexcept = default;

std::vector<Picture> Pipeline::draw(std::span<const Request> batch, const Observer& observer) const {
  if (batch.empty()) return {};
  check_shared(batch);
  std::vector<ResolvedRequest> resolved;
  for (const Request& request : batch) resolved.push_back(resolve_for(model_.description(), request));
  const Drawn drawn = sdtorch::draw(*networks_, resolved, observer);
  std::vector<Picture> pictures;
  for (size_t i = 0; i < resolved.size(); ++i) {
    Picture& picture = pictures.emplace_back();
    picture.image =
        to_image(drawn.pictures[static_cast<int64_t>(i)], compat_rules(resolved[i].request).truncates_pixels);
    if (resolved[i].start && resolved[i].start->paste) {
      const PasteBack& paste = *resolved[i].start->paste;
      picture.image = pasted(paste.picture, paste.mask, paste.region, picture.image);
    }
    picture.request = std::move(resolved[i].request);
    picture.sampler = std::string(resolved[i].plan.sampler->name);
    picture.notes = notes_of(drawn, i);
  }
  return pictures;
}

void Pipeline::prepare(std::span<const Request> batch) const {
  std::vector<ResolvedRequest> resolved;
  for (const Request& request : batch) resolved.push_back(resolve_for(model_.description(), request));
  if (!resolved.empty()) encode_ahead(*networks_, resolved);
}

bool Pipeline::prepares_beside() const { return leaves_cores_idle(networks_->model.device); }

Picture Pipeline::draw(const Request& request, const Observer& observer) const {
  return std::move(draw(std::span(&request, 1), observer).front());
}

std::vector<Image> Pipeline::decode(const at::Tensor& latent, const Request& request) const {
  std::vector<std::string> said_already;
  const auto tiles = resolve_tiles(networks_->last().description, request, said_already);
  const at::Tensor pictures = sdtorch::decode(networks_->last(), latent, tiles).pictures;
  std::vector<Image> images;
  for (const at::Tensor& picture : pictures.unbind()) images.push_back(to_image(picture));
  return images;
}

std::vector<std::byte> encode_png(const Picture& picture, const ModelChoice& choice) {
  return encode_png(picture.image, picture_metadata(choice, picture));
}

void save_png(const std::filesystem::path& file, const Picture& picture, const ModelChoice& choice) {
  write_file_atomically(file, encode_png(picture, choice));
}

}  // namespace sdtorch
