#include "pipeline/depth_estimator.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "core/error.hpp"
#include "core/paths.hpp"
#include "io/resize.hpp"
#include "weights/bind.hpp"
#include "weights/component_files.hpp"
#include "weights/model_folder.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;

constexpr int64_t picture_channels = 3;
constexpr const char* component_name = "depth_estimator";

/// transformers loads whatever a config says; ours is DPT alone, of which Depth Anything and others are no kinds.
void check_is_dpt(const nlohmann::json& config, const std::string& file) {
  constexpr const char *class_key = "architectures", *type_key = "model_type", *type = "dpt",
                       *class_name = "DPTForDepthEstimation";
  const auto refuse_other = [&](const char* key, const std::string& expected) {
    fail(ErrorKind::model, file, key, fmt::format("{}, where {} was expected", config.at(key).dump(), expected));
  };
  if (config.contains(type_key) && config.at(type_key) != type) refuse_other(type_key, type);
  const nlohmann::json classes = config.value(class_key, nlohmann::json());
  if (!classes.is_null() && classes != nlohmann::json::array({class_name})) refuse_other(class_key, class_name);
}

}  // namespace

Resampling resampling_of(PillowFilter filter) {
  switch (filter) {
    case PillowFilter::nearest:
      return Resampling::nearest;
    case PillowFilter::lanczos:
      return Resampling::lanczos;
    case PillowFilter::bilinear:
      return Resampling::bilinear;
    case PillowFilter::bicubic:
      break;
  }
  return Resampling::bicubic;
}

void DepthEstimatorDescription::check_takes(int64_t height, int64_t width) const {
  const auto [h, w] = preparation.size_of(height, width);
  const auto fits = [&](int64_t side) {
    return config.backbone ? side == config.image_size : side % config.patch_size == 0;
  };
  if (fits(h) && fits(w)) return;
  fail(ErrorKind::model, preparation_file, "size",
       fmt::format("a picture of {} by {} pixels is prepared to {} by {}, and the depth estimator takes {}", width,
                   height, w, h,
                   config.backbone ? fmt::format("{} by {}", config.image_size, config.image_size)
                                   : fmt::format("multiples of {}", config.patch_size)));
}

DepthEstimatorDescription describe_depth_estimator(const fs::path& folder, const ReadOptions& options) {
  constexpr const char *config_name = "config.json", *preparation_name = "preprocessor_config.json";
  if (!is_folder(folder)) {
    fail(ErrorKind::model, folder, {},
         fmt::format("no folder of a depth estimator, with {}, weights and {}", config_name, preparation_name));
  }
  const bool whole_model = is_folder(folder / component_name);
  DepthEstimatorDescription described{.folder = whole_model ? folder / component_name : folder};
  const std::string file = (described.folder / config_name).string();
  const nlohmann::json config = load_config(file);
  check_is_dpt(config, file);
  described.config = DepthConfig::from_json(config, file, options);
  if (described.config.num_channels != picture_channels) {
    fail(ErrorKind::model, file, "num_channels",
         fmt::format("{}, but a picture has {}", described.config.num_channels, picture_channels));
  }
  const fs::path preparation = (whole_model ? folder / "feature_extractor" : folder) / preparation_name;
  described.preparation_file = preparation.string();
  described.preparation = DepthPreparation::from_json(load_config(preparation), described.preparation_file, options);
  return described;
}

DepthEstimatorDescription describe_depth_estimator(const std::shared_ptr<const ModelSource>& model,
                                                   const ReadOptions& options) {
  if (is_folder(model->path())) return describe_depth_estimator(model->path(), options);
  const std::string file = model->config_place(component_name);
  DepthEstimatorDescription described{.file = model, .preparation_file = file};
  described.config = DepthConfig::from_json(model->config(component_name), file, options);
  described.preparation = DepthPreparation::from_json(model->config("feature_extractor"), file, options);
  return described;
}

LoadedDepthEstimator load_depth_estimator(DepthEstimatorDescription description, at::Device device) {
  auto network = std::make_shared<DepthEstimator>(description.config);
  StateDict weights = description.file ? description.file->weights(component_name) : load_component(description.folder);
  bind_weights(*network, std::move(weights), at::kFloat, device, component_name);
  network->eval();
  return {.description = std::move(description), .network = std::move(network), .device = device};
}

at::Tensor LoadedDepthEstimator::estimate(const Image& picture) const {
  const DepthPreparation& how = description.preparation;
  const auto [height, width] = how.size_of(picture.height, picture.width);
  const Image fitted = how.resize ? resize(picture, width, height, resampling_of(how.filter)) : picture;
  const at::Tensor pixels =
      at::from_blob(const_cast<uint8_t*>(fitted.pixels.data()), {height, width, picture_channels}, at::kByte);
  return network->forward(how.colours.normalised(pixels).to(device));
}

GreyImage LoadedDepthEstimator::depth_picture(const Image& picture) const {
  const at::Tensor own = estimate(picture).unsqueeze(1);
  const at::Tensor depth =
      at::upsample_bicubic2d(own, {picture.height, picture.width}, /*align_corners=*/false).to(at::kCPU);
  const at::Tensor nearest = depth.max(), farthest = depth.min();
  GreyImage grey{.width = picture.width, .height = picture.height};
  grey.pixels.resize(static_cast<size_t>(picture.width * picture.height));
  if (nearest.equal(farthest)) return grey;  // where the reference divides by zero
  const at::Tensor bytes = ((depth - farthest) / (nearest - farthest) * 255).to(at::kByte).contiguous();
  const auto* first = bytes.const_data_ptr<uint8_t>();
  grey.pixels.assign(first, first + bytes.numel());
  return grey;
}

}  // namespace sdtorch
