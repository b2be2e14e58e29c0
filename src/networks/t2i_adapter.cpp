#include "networks/t2i_adapter.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "core/config_reader.hpp"
#include "core/error.hpp"
#include "nn/activation.hpp"
#include "nn/attach.hpp"

namespace sdtorch {
namespace {

constexpr int64_t light_narrowing = 4;  // inside a light adapter's blocks

AdapterType read_adapter_type(ConfigReader& reader) {
  constexpr std::array<std::pair<const char*, AdapterType>, 3> types{{{"full_adapter", AdapterType::full},
                                                                      {"full_adapter_xl", AdapterType::full_xl},
                                                                      {"light_adapter", AdapterType::light}}};
  const std::string wanted = reader.text("adapter_type", types[0].first);
  for (const auto& [name, type] : types) {
    if (wanted == name) return type;
  }
  reader.fail("adapter_type", "full_adapter, full_adapter_xl or light_adapter");
}

}  // namespace

T2IAdapterConfig T2IAdapterConfig::from_json(const nlohmann::json& json, const std::string& file,
                                             const ReadOptions& options) {
  ConfigReader reader(json, file, options);
  T2IAdapterConfig config;
  config.type = read_adapter_type(reader);
  config.in_channels = reader.integer("in_channels", config.in_channels);
  config.channels = reader.integers("channels", {320, 640, 1280, 1280});
  config.num_res_blocks = reader.integer("num_res_blocks", config.num_res_blocks, {.max = 64});
  config.downscale_factor = reader.integer("downscale_factor", config.downscale_factor, {.max = 64});
  if (config.type == AdapterType::light && std::ranges::min(config.channels) < light_narrowing) {
    reader.fail("channels", fmt::format("at least {} for each block", light_narrowing));
  }
  for (size_t i = 3; config.type == AdapterType::full_xl && i < config.channels.size(); ++i) {
    if (config.channels[i] != config.channels[2]) reader.fail("channels", "equal numbers from the third on");
  }
  reader.ignore({"dtype", "torch_dtype"});
  reader.finish();
  return config;
}

AdapterBlockImpl::AdapterBlockImpl(const T2IAdapterConfig& config, int64_t in, int64_t out, bool halve)
    : halve_(halve) {
  const bool light = config.type == AdapterType::light;
  const int64_t inner = light ? out / light_narrowing : out;
  if (light || in != out) in_conv_ = attach(*this, "in_conv", Conv2d(in, inner, 1));
  for (int64_t i = 0; i < config.num_res_blocks; ++i) {
    const std::string key = fmt::format("resnets.{}.block", i);
    resnets_.emplace_back(
        attach(*this, key + "1", Conv2d(inner, inner, 3, Conv2dOptions{.padding = 1})),
        attach(*this, key + "2",
               light ? Conv2d(inner, inner, 3, Conv2dOptions{.padding = 1}) : Conv2d(inner, inner, 1)));
  }
  if (light) out_conv_ = attach(*this, "out_conv", Conv2d(inner, out, 1));
}

at::Tensor AdapterBlockImpl::forward(at::Tensor x) const {
  if (halve_) x = at::avg_pool2d(x, 2, 2, /*padding=*/0, /*ceil_mode=*/true);
  if (in_conv_) x = in_conv_(x);
  for (const auto& [first, second] : resnets_) x = second(activate(first(x), Activation::relu)) + x;
  return out_conv_ ? out_conv_(x) : x;
}

T2IAdapter::T2IAdapter(const T2IAdapterConfig& c) : config_(c) {
  const auto add = [&](int64_t in, int64_t out, bool halve) {
    body_.push_back(attach(*this, fmt::format("adapter.body.{}", body_.size()), AdapterBlock(c, in, out, halve)));
  };
  int64_t above = c.in_channels * c.downscale_factor * c.downscale_factor;
  if (c.type != AdapterType::light) {
    conv_in_ = attach(*this, "adapter.conv_in", Conv2d(above, c.channels.front(), 3, Conv2dOptions{.padding = 1}));
    above = c.channels.front();
  }
  for (size_t i = 0; i < c.channels.size(); ++i) {
    add(above, c.channels[i], c.halves(i));
    above = c.channels[i];
  }
  if (c.type == AdapterType::light) add(above, above, c.halves(c.channels.size()));
}

std::vector<at::Tensor> T2IAdapter::forward(const at::Tensor& picture) const {
  at::Tensor x = at::pixel_unshuffle(picture, config_.downscale_factor);
  if (conv_in_) x = conv_in_(x);
  std::vector<at::Tensor> features;
  for (const AdapterBlock& block : body_) features.push_back(x = block(x));
  return features;
}

std::vector<double> T2IAdapter::weights(ControlMode mode, double strength) const {
  constexpr std::array<double, 4> soft{0.25, 0.62, 0.825, 1};
  std::vector<double> weights(body_.size(), strength);
  for (size_t i = 0; mode != ControlMode::balanced && i < std::min(soft.size(), weights.size()); ++i)
    weights[i] *= soft[i];
  return weights;
}

void require_fit(const T2IAdapterConfig& adapter, const UNetConfig& unet, int64_t factor, const std::string& file) {
  constexpr auto family_hint = "T2I-Adapter and model are of different families";
  const size_t levels = unet.levels.size(), blocks = levels + (unet.mid_block == MidBlock::none ? 0 : 1);
  if (adapter.features() > blocks) {
    fail(ErrorKind::model, file, "channels",
         fmt::format("{} features for the U-Net's {} blocks on its way down", adapter.features(), blocks), family_hint);
  }
  int64_t pixels = adapter.downscale_factor;
  for (size_t i = 0; i < adapter.features(); ++i) {
    const size_t at = std::min(i, levels - 1);
    const UNetLevel& level = unet.levels[at];
    const bool after_halving = i + 1 < levels && level.down_transformers.empty();  // see UNetDownBlock
    const int64_t wanted = factor << (at + (after_halving ? 1 : 0));
    const int64_t channels = adapter.channels[std::min(i, adapter.channels.size() - 1)];
    if (adapter.halves(i)) pixels *= 2;
    if (channels != level.channels) {
      fail(ErrorKind::model, file, "channels",
           fmt::format("feature {} has {} channels, the U-Net's block {}", i, channels, level.channels), family_hint);
    }
    if (pixels != wanted) {
      fail(
          ErrorKind::model, file, "downscale_factor",
          fmt::format("feature {} is {} times smaller than the picture, the U-Net's block {} times", i, pixels, wanted),
          family_hint);
    }
  }
}

}  // namespace sdtorch
