#include "pipeline/ip_adapter.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <list>
#include <mutex>
#include <optional>
#include <utility>

#include "adapters/ip_adapter.hpp"
#include "core/error.hpp"
#include "io/resize.hpp"
#include "io/sha256.hpp"
#include "pipeline/components.hpp"
#include "pipeline/input_pictures.hpp"
#include "pipeline/resolve.hpp"
#include "pipeline/settings.hpp"
#include "pipeline/text_conditions.hpp"
#include "weights/bind.hpp"
#include "weights/component_files.hpp"

namespace sdtorch {
namespace {

constexpr int64_t encoder_channels = 3;

// The vision encoder's keys as the network has them.
constexpr std::string_view vision_prefix = "vision_model.", projection_key = "visual_projection.weight";

/// Files of transformers' vision model alone have no prefix; a whole CLIP's have the text encoder beside it.
StateDict encoder_weights(const ImageEncoderDescription& encoder) {
  StateDict weights = load_component(encoder.folder);
  const bool prefixed =
      std::ranges::any_of(weights, [](const auto& item) { return item.first.starts_with(vision_prefix); });
  StateDict own;
  for (auto& [key, weight] : weights) {
    const bool ours = key == projection_key || key.starts_with(vision_prefix);
    if (prefixed && encoder.whole_clip && !ours) continue;
    own.emplace(prefixed || ours ? key : std::string(vision_prefix) + key, std::move(weight));
  }
  return own;
}

template <typename Network>
std::shared_ptr<Network> with_weights(std::shared_ptr<Network> network, StateDict weights, at::ScalarType dtype,
                                      at::Device device, const std::string& name) {
  bind_weights(*network, std::move(weights), dtype, device, name);
  network->eval();
  return network;
}

std::string picture_count(size_t count) { return fmt::format("{} picture{}", count, count == 1 ? "" : "s"); }
std::string adapter_count(size_t count) { return fmt::format("{} IP-Adapter{}", count, count == 1 ? "" : "s"); }

void check_image_lists(const Request& request, size_t adapters) {
  const size_t pictures = request.ip_image.size(), scales = request.ip_scale.size();
  if (adapters == 0) {
    if (pictures > 0) refuse("--ip-image", "there is no IP-Adapter", "give --ip-adapter FILE");
    if (scales > 0) refuse("--ip-scale", "there is no IP-Adapter", "give --ip-adapter FILE");
    return;
  }
  if (pictures == 0 || (adapters > 1 && pictures != adapters)) {
    refuse("--ip-image", fmt::format("{} for {}", picture_count(pictures), adapter_count(adapters)),
           adapters == 1 ? "give one or more" : "give one for each, in their order");
  }
  if (scales > 1 && scales != adapters) {
    refuse("--ip-scale", fmt::format("{} values for {}", scales, adapter_count(adapters)),
           "give one for all, or one for each");
  }
}

/// Prepared, fp32 [1, 3, side, side].
at::Tensor prepared(const ImageEncoderDescription& encoder, const Image& picture, const std::string& file,
                    const Request& request) {
  const ClipPreparation& how = encoder.preparation;
  const auto [height, width] = how.size_of(picture.height, picture.width);
  if (height < 1 || width < 1 || height > request.max_pixels / width) {
    fail(ErrorKind::input, file, "",
         fmt::format("{} by {} pixels are too long a shape for an image encoder", picture.width, picture.height));
  }
  const int64_t side = encoder.config.image_size;
  if (how.final_size(picture.height, picture.width) != std::array{side, side}) {
    const auto [h, w] = how.final_size(picture.height, picture.width);
    fail(ErrorKind::model, encoder.preparation_file, how.crop_size ? "crop_size" : "size",
         fmt::format("a picture of {} by {} pixels is prepared to {} by {}, and the image encoder takes {} by {}",
                     picture.width, picture.height, w, h, side, side));
  }
  const Image fitted = how.resize ? resize(picture, width, height, resampling_of(how.filter)) : picture;
  const at::Tensor pixels = at::from_blob(const_cast<uint8_t*>(fitted.pixels.data()),
                                          {fitted.height, fitted.width, encoder_channels}, at::kByte);
  return how.colours.normalised(how.cropped(pixels));
}

std::string digest_of(const at::Tensor& pixels) {
  return sha256(std::span(static_cast<const std::byte*>(pixels.const_data_ptr()), pixels.nbytes()));
}

}  // namespace

std::vector<ResolvedImagePrompt> resolve_image_prompts(const ModelDescription& model, Request& request) {
  const auto& [encoders, adapters] = model.ip_adapters;
  check_image_lists(request, adapters.size());
  std::vector<Image> pictures;
  for (const std::string& file : request.ip_image) pictures.push_back(read_on_white(request, file));
  std::vector<ResolvedImagePrompt> prompts;
  for (size_t i = 0; i < adapters.size(); ++i) {
    const size_t first = adapters.size() == 1 ? 0 : i, end = adapters.size() == 1 ? pictures.size() : i + 1;
    std::vector<at::Tensor> rows;
    for (size_t k = first; k < end; ++k) {
      rows.push_back(prepared(encoders[adapters[i].encoder], pictures[k], request.ip_image[k], request));
    }
    ResolvedImagePrompt& prompt = prompts.emplace_back();
    prompt.pixels = at::cat(rows);
    prompt.digest = digest_of(prompt.pixels);
    prompt.scale = value_for(request.ip_scale, i, 1.0);
  }
  return prompts;
}

struct IpAdapters::Adapter {
  IpProjectionConfig config{};
  std::shared_ptr<const IpProjection> projection{};
  std::shared_ptr<const ImageAttentionLayers> layers{};
  std::shared_ptr<const ClipVisionModel> encoder{};
  int64_t side = 0;  ///< pixels of the encoder's pictures
};

/// The tokens that were made last, the latest in front.
struct IpAdapters::Memory {
  static constexpr size_t most = 64;  // of SDXL's, 16 MB in all
  std::mutex mutex{};
  std::list<std::pair<std::string, at::Tensor>> tokens{};

  std::optional<at::Tensor> find(const std::string& key) {
    const std::lock_guard lock(mutex);
    const auto found = std::ranges::find(tokens, key, &std::pair<std::string, at::Tensor>::first);
    if (found == tokens.end()) return std::nullopt;
    tokens.splice(tokens.begin(), tokens, found);
    return found->second;
  }

  void keep(std::string key, at::Tensor made) {
    const std::lock_guard lock(mutex);
    tokens.emplace_front(std::move(key), std::move(made));
    if (tokens.size() > most) tokens.pop_back();
  }
};

IpAdapters::IpAdapters(const ModelDescription& model, at::ScalarType dtype, at::Device device)
    : dtype_(dtype), device_(device), memory_(std::make_unique<Memory>()) {
  for (const ImageEncoderDescription& encoder : model.ip_adapters.encoders) {
    encoders_.push_back(with_weights(std::make_shared<ClipVisionModel>(encoder.config), encoder_weights(encoder), dtype,
                                     device, encoder.folder.string()));
  }
  const std::vector<CrossAttentionPlace> places = cross_attention_places(model.unet);
  for (const IpAdapterDescription& adapter : model.ip_adapters.adapters) {
    IpAdapterFile file = load_ip_adapter(adapter.file);
    const std::string name = adapter.file.string();
    adapters_.push_back({.config = adapter.projection,
                         .projection = with_weights(make_ip_projection(adapter.projection), std::move(file.projection),
                                                    dtype, device, name),
                         .layers = with_weights(std::make_shared<ImageAttentionLayers>(places), std::move(file.layers),
                                                dtype, device, name),
                         .encoder = encoders_[adapter.encoder],
                         .side = model.ip_adapters.encoders[adapter.encoder].config.image_size});
  }
}

IpAdapters::~IpAdapters() = default;

at::Tensor IpAdapters::see(const Adapter& adapter, const at::Tensor& pixels) const {
  const at::Tensor given = pixels.to(device_, dtype_);
  return adapter.config.kind == IpKind::plain ? adapter.encoder->embed(given) : adapter.encoder->penultimate(given);
}

at::Tensor IpAdapters::remembered(size_t number, const ResolvedImagePrompt& prompt) const {
  const std::string key = fmt::format("{} {}", number, prompt.digest);
  if (auto known = memory_->find(key)) return *known;
  const Adapter& adapter = adapters_[number];
  at::Tensor made = adapter.projection->forward(see(adapter, prompt.pixels)).flatten(0, 1).unsqueeze(0);
  memory_->keep(key, made);
  return made;
}

std::vector<at::Tensor> IpAdapters::tokens(const std::vector<ResolvedImagePrompt>& prompts) const {
  std::vector<at::Tensor> made;
  for (size_t i = 0; i < prompts.size(); ++i) made.push_back(remembered(i, prompts[i]));
  return made;
}

std::vector<at::Tensor> IpAdapters::no_tokens(const std::vector<ResolvedImagePrompt>& prompts) const {
  std::vector<at::Tensor> made;
  for (size_t i = 0; i < prompts.size(); ++i) {
    const Adapter& adapter = adapters_[i];
    const std::string key = fmt::format("{} none", i);
    auto one = memory_->find(key);
    if (!one) {
      const at::TensorOptions options = at::TensorOptions(dtype_).device(device_);
      const at::Tensor seen = adapter.config.kind == IpKind::plain
                                  ? at::zeros({1, adapter.config.seen_width}, options)
                                  : see(adapter, at::zeros({1, encoder_channels, adapter.side, adapter.side}, options));
      one = adapter.projection->forward(seen);
      memory_->keep(key, *one);
    }
    made.push_back(one->repeat({1, prompts[i].pixels.size(0), 1}));
  }
  return made;
}

ImageAttention IpAdapters::attention(const UNet2DConditionModel& unet, const std::vector<double>& scales) const {
  std::vector<WeightedImageAttention> weighted;
  for (size_t i = 0; i < adapters_.size(); ++i) {
    weighted.push_back({.layers = adapters_[i].layers, .scale = scales.at(i)});
  }
  return {unet, std::move(weighted)};
}

std::vector<double> image_scales(const ResolvedRequest& resolved) {
  std::vector<double> scales;
  for (const ResolvedImagePrompt& prompt : resolved.image_prompts) scales.push_back(prompt.scale);
  const bool says = std::ranges::any_of(scales, [](double scale) { return scale != 0; });
  return says ? scales : std::vector<double>();
}

void prompt_by_pictures(const Components& model, std::span<const ResolvedRequest> batch,
                        std::vector<TextConditions>& texts) {
  if (image_scales(batch.front()).empty()) return;
  for (size_t i = 0; i < texts.size(); ++i) {
    const std::vector<ResolvedImagePrompt>& prompts = batch[i].image_prompts;
    if (texts[i].conditional) texts[i].conditional->image_tokens = model.ip_adapters->tokens(prompts);
    if (texts[i].unconditional) texts[i].unconditional->image_tokens = model.ip_adapters->no_tokens(prompts);
  }
}

}  // namespace sdtorch
