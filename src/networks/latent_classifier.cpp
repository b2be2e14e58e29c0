#include "networks/latent_classifier.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

#include "core/config_reader.hpp"
#include "networks/diffusers_names.hpp"
#include "nn/attach.hpp"
#include "nn/timestep_embedding.hpp"

namespace sdtorch {
namespace {

constexpr int64_t time_widening = 4;  // of the timestep's embedding, over the first block's channels

}  // namespace

LatentClassifierConfig LatentClassifierConfig::from_json(const nlohmann::json& json, const std::string& file,
                                                         const ReadOptions& options) {
  ConfigReader reader(json, file, options);
  LatentClassifierConfig config;
  config.in_channels = reader.integer("in_channels", config.in_channels);
  config.block_out_channels = reader.integers("block_out_channels", {32, 64});
  config.layers_per_block = reader.integer("layers_per_block", config.layers_per_block, {.max = 64});
  config.norm_num_groups = reader.integer("norm_num_groups", config.norm_num_groups);
  config.norm_eps = reader.positive_number("norm_eps", config.norm_eps);
  config.act_fn = read_activation(reader, "act_fn", "silu", diffusers_activations);
  config.flip_sin_to_cos = reader.boolean("flip_sin_to_cos", config.flip_sin_to_cos);
  config.freq_shift = reader.number("freq_shift", config.freq_shift);
  config.classes = reader.texts("classes", {});
  reader.finish();
  if (config.block_out_channels.empty()) reader.fail("block_out_channels", "one width or more");
  for (const int64_t channels : config.block_out_channels) {
    if (channels % config.norm_num_groups != 0) {
      reader.fail("block_out_channels", fmt::format("multiples of norm_num_groups, {}", config.norm_num_groups));
    }
  }
  if (config.freq_shift >= static_cast<double>(config.block_out_channels.front() / 2)) {
    reader.fail("freq_shift", "less than half the first block's channels");
  }
  if (config.classes.size() < 2 ||
      std::set<std::string>(config.classes.begin(), config.classes.end()).size() < config.classes.size()) {
    reader.fail("classes", "the names of two classes or more, each its own");
  }
  return config;
}

UNetConfig LatentClassifierConfig::trunk() const {
  UNetConfig unet;
  for (const int64_t channels : block_out_channels) {
    unet.levels.push_back({.channels = channels, .layers = layers_per_block});
  }
  unet.time_embedding_dim = time_widening * block_out_channels.front();
  unet.norm_num_groups = norm_num_groups;
  unet.norm_eps = norm_eps;
  unet.act_fn = act_fn;
  return unet;
}

LatentClassifier::LatentClassifier(const LatentClassifierConfig& c)
    : config_(c),
      time_linear_1_(attach(*this, "time_embedding.linear_1",
                            Linear(c.block_out_channels.front(), time_widening * c.block_out_channels.front()))),
      time_linear_2_(
          attach(*this, "time_embedding.linear_2",
                 Linear(time_widening * c.block_out_channels.front(), time_widening * c.block_out_channels.front()))),
      conv_in_(attach(*this, "conv_in", same_size_conv(c.in_channels, c.block_out_channels.front(), 3))),
      norm_out_(attach(*this, "norm_out", GroupNorm(c.norm_num_groups, c.block_out_channels.back(), c.norm_eps))),
      head_(attach(*this, "head", Linear(c.block_out_channels.back(), static_cast<int64_t>(c.classes.size())))) {
  const UNetConfig trunk = c.trunk();
  for (size_t i = 0; i < trunk.levels.size(); ++i) {
    down_blocks_.push_back(attach(*this, fmt::format("down_blocks.{}", i), UNetDownBlock(trunk, i)));
  }
}

at::Tensor LatentClassifier::forward(const at::Tensor& x, const at::Tensor& timestep) const {
  const at::Tensor waves =
      sinusoidal_embedding(timestep.to(x.device()), config_.block_out_channels.front(),
                           {.flip_sin_to_cos = config_.flip_sin_to_cos, .freq_shift = config_.freq_shift});
  const UNetCondition condition{
      .time = time_linear_2_(activate(time_linear_1_(waves.to(x.scalar_type())), config_.act_fn))};
  std::vector<at::Tensor> skips;
  at::Tensor h = conv_in_(x);
  for (const UNetDownBlock& block : down_blocks_) h = block(h, condition, skips);
  return head_(norm_out_(h, Activation::silu).mean(at::IntArrayRef{2, 3}));
}

}  // namespace sdtorch
