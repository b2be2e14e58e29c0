#include "networks/ip_projection.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <vector>

#include "nn/activation.hpp"
#include "nn/attach.hpp"
#include "nn/attention.hpp"
#include "nn/linear.hpp"
#include "nn/norm.hpp"

namespace sdtorch {
namespace {

constexpr double norm_eps = 1e-5;
constexpr int64_t resampler_head_width = 64;
constexpr LinearOptions without_bias{.bias = false};

class PlainProjection : public IpProjection {
 public:
  explicit PlainProjection(const IpProjectionConfig& c)
      : tokens_(c.tokens),
        image_embeds_(attach(*this, "image_embeds", Linear(c.seen_width, c.tokens * c.width))),
        norm_(attach(*this, "norm", LayerNorm(c.width, norm_eps))) {}

  at::Tensor forward(const at::Tensor& seen) const override {
    return norm_(image_embeds_(seen).unflatten(-1, {tokens_, -1}));
  }

 private:
  int64_t tokens_;
  Linear image_embeds_;
  LayerNorm norm_;
};

class FullProjection : public IpProjection {
 public:
  explicit FullProjection(const IpProjectionConfig& c)
      : in_(attach(*this, "ff.net.0.proj", Linear(c.seen_width, c.inner))),
        out_(attach(*this, "ff.net.2", Linear(c.inner, c.width))),
        norm_(attach(*this, "norm", LayerNorm(c.width, norm_eps))) {}

  at::Tensor forward(const at::Tensor& seen) const override {
    return norm_(out_(activate(in_(seen), Activation::gelu)));
  }

 private:
  Linear in_, out_;
  LayerNorm norm_;
};

/// Queries look at the states and at themselves, then a feed-forward layer, each on a residual.
class ResamplerLayerImpl : public torch::nn::Module {
 public:
  explicit ResamplerLayerImpl(const IpProjectionConfig& c)
      : heads_(c.heads),
        norm_seen_(attach(*this, "ln0", LayerNorm(c.inner, norm_eps))),
        norm_queries_(attach(*this, "ln1", LayerNorm(c.inner, norm_eps))),
        to_q_(attach(*this, "attn.to_q", Linear(c.inner, c.heads * resampler_head_width, without_bias))),
        to_k_(attach(*this, "attn.to_k", Linear(c.inner, c.heads * resampler_head_width, without_bias))),
        to_v_(attach(*this, "attn.to_v", Linear(c.inner, c.heads * resampler_head_width, without_bias))),
        to_out_(attach(*this, "attn.to_out.0", Linear(c.heads * resampler_head_width, c.inner, without_bias))),
        norm_ff_(attach(*this, "ff.0", LayerNorm(c.inner, norm_eps))),
        ff_in_(attach(*this, "ff.1.net.0.proj", Linear(c.inner, c.feed_forward, without_bias))),
        ff_out_(attach(*this, "ff.1.net.2", Linear(c.feed_forward, c.inner, without_bias))) {}

  /// seen: [B, L, inner]; queries: [B, tokens, inner] → the queries' shape.
  at::Tensor forward(const at::Tensor& seen, const at::Tensor& queries) const {
    const at::Tensor asking = norm_queries_(queries);
    const at::Tensor source = at::cat({norm_seen_(seen), asking}, 1);
    const at::Tensor x = to_out_(attention(to_q_(asking), to_k_(source), to_v_(source), {.heads = heads_})) + queries;
    return ff_out_(activate(ff_in_(norm_ff_(x)), Activation::gelu)) + x;
  }

 private:
  int64_t heads_;
  LayerNorm norm_seen_, norm_queries_;
  Linear to_q_, to_k_, to_v_, to_out_;
  LayerNorm norm_ff_;
  Linear ff_in_, ff_out_;
};
using ResamplerLayer = Layer<ResamplerLayerImpl>;

class Resampler : public IpProjection {
 public:
  explicit Resampler(const IpProjectionConfig& c)
      : queries_(register_parameter("latents", at::empty({1, c.tokens, c.inner}), /*requires_grad=*/false)),
        proj_in_(attach(*this, "proj_in", Linear(c.seen_width, c.inner))),
        proj_out_(attach(*this, "proj_out", Linear(c.inner, c.width))),
        norm_out_(attach(*this, "norm_out", LayerNorm(c.width, norm_eps))) {
    for (int64_t i = 0; i < c.depth; ++i) {
      layers_.push_back(attach(*this, fmt::format("layers.{}", i), ResamplerLayer(c)));
    }
  }

  at::Tensor forward(const at::Tensor& seen) const override {
    const at::Tensor states = proj_in_(seen);
    at::Tensor x = queries_.expand({seen.size(0), -1, -1});
    for (const ResamplerLayer& layer : layers_) x = layer(states, x);
    return norm_out_(proj_out_(x));
  }

 private:
  at::Tensor queries_;
  Linear proj_in_, proj_out_;
  LayerNorm norm_out_;
  std::vector<ResamplerLayer> layers_;
};

}  // namespace

std::shared_ptr<IpProjection> make_ip_projection(const IpProjectionConfig& config) {
  switch (config.kind) {
    case IpKind::plain:
      return std::make_shared<PlainProjection>(config);
    case IpKind::full:
      return std::make_shared<FullProjection>(config);
    default:
      return std::make_shared<Resampler>(config);
  }
}

}  // namespace sdtorch
