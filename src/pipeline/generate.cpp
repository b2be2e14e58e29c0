#include "pipeline/generate.hpp"

#include <fmt/format.h>

#include "diffusion/start.hpp"
#include "pipeline/conditioning.hpp"
#include "pipeline/decode.hpp"
#include "pipeline/denoiser.hpp"

namespace sdtorch {
namespace {

std::vector<uint64_t> seeds_of(const Request& request, int64_t first, int64_t count) {
  std::vector<uint64_t> seeds;
  for (int64_t i = first; i < first + count; ++i) seeds.push_back(request.seed + static_cast<uint64_t>(i));
  return seeds;
}

void enter(const Observer& observer, Stage stage) {
  if (observer.on_stage) observer.on_stage(stage);
}

void show(const Observer& observer, std::string_view name, const at::Tensor& tensor) {
  if (observer.on_tensor && tensor.defined()) observer.on_tensor(name, tensor);
}

void show_conditioning(const Observer& observer, const Conditioning& text, int64_t images) {
  if (!observer.on_tensor) return;
  show(observer, "tokens", text.tokens.expand({images, -1}));
  show(observer, "uncond_tokens", text.uncond_tokens.expand({images, -1}));
  const auto show_rows = [&](std::string_view name, const at::Tensor& one) {
    if (one.defined())
      show(observer, name, at::cat(std::vector<at::Tensor>(static_cast<size_t>(images), one)).to(at::kFloat));
  };
  show_rows("context", text.context);
  show_rows("uncond_context", text.uncond_context);
  show_rows("pooled", text.pooled);
  show_rows("uncond_pooled", text.uncond_pooled);
}

/// Where the network is called, by both models in their turn, and between which noise levels.
void show_plan(const Observer& observer, const ResolvedRequest& resolved) {
  std::vector<double> timesteps = resolved.plan.timesteps, sigmas = resolved.plan.sigmas;
  if (const auto& rest = resolved.refiner_plan) {
    timesteps.insert(timesteps.end(), rest->timesteps.begin(), rest->timesteps.end());
    sigmas.pop_back();
    sigmas.insert(sigmas.end(), rest->sigmas.begin(), rest->sigmas.end());
  }
  show(observer, "timesteps", at::tensor(timesteps, at::kDouble).to(at::kFloat));
  show(observer, "sigmas", at::tensor(sigmas, at::kDouble).to(at::kFloat));
}

/// Tells the observer of each step, and leaves it as it is.
std::function<at::Tensor(const SamplerStep&)> reported(const Observer& observer) {
  return [&observer](const SamplerStep& step) -> at::Tensor {
    show(observer, fmt::format("step.{:03}.latent", step.index), step.latent);
    if (observer.on_step) observer.on_step(step);
    return {};
  };
}

}  // namespace

Generated generate(Components& model, const ResolvedRequest& resolved, int64_t first, int64_t count,
                   const Observer& observer, Components* refiner) {
  const c10::InferenceMode no_gradients;
  const Request& request = resolved.request;
  const SamplingPlan& plan = resolved.plan;

  enter(observer, Stage::text);
  const Conditioning text = encode_prompts(model, request);
  show_conditioning(observer, text, count);
  const Conditioning refining = refiner ? encode_prompts(*refiner, request) : Conditioning{};

  enter(observer, Stage::denoise);
  Noise noise(seeds_of(request, first, count));
  const at::Tensor start =
      noise.draw({model.description.vae.latent_channels, resolved.latent_height, resolved.latent_width});
  show(observer, "noise", start);
  show_plan(observer, resolved);
  const int64_t own = steps_of(plan), all = refiner ? own + steps_of(*resolved.refiner_plan) : own;
  SamplerContext context{.noise = noise, .after_step = reported(observer), .steps = all};
  at::Tensor latent = run_sampler(start_from_noise(plan, start.to(model.device)),
                                  guided_denoiser(model, text, request, count), context);
  if (refiner) {
    context.first_step = own;
    latent = run_sampler(start_from_latent(*resolved.refiner_plan, latent),
                         guided_denoiser(*refiner, refining, request, count), context);
  }
  show(observer, "latent", latent);

  enter(observer, Stage::decode);
  const DecodedPictures decoded = decode(refiner ? *refiner : model, latent);
  show(observer, "image", decoded.pictures);
  return {.pictures = decoded.pictures, .vae_again_in_fp32 = decoded.again_in_fp32};
}

}  // namespace sdtorch
