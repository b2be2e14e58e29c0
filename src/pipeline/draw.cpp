#include "pipeline/draw.hpp"

#include <c10/core/InferenceMode.h>
#include <c10/core/Stream.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "core/kept_memory.hpp"
#include "core/notes.hpp"
#include "pipeline/beginning.hpp"
#include "pipeline/compat.hpp"
#include "pipeline/decode.hpp"
#include "pipeline/guided.hpp"
#include "pipeline/hires.hpp"
#include "pipeline/lora_stretches.hpp"
#include "pipeline/non_finite.hpp"
#include "pipeline/prompt_tags.hpp"
#include "pipeline/steering.hpp"

namespace sdtorch {
namespace {

using Batch = std::span<const ResolvedRequest>;

void enter(const Observer& observer, Stage stage) {
  if (observer.on_stage) observer.on_stage(stage);
}

void show(const Observer& observer, std::string_view name, const at::Tensor& tensor) {
  if (observer.on_tensor && tensor.defined()) observer.on_tensor(name, tensor);
}

/// What a batch's prompts became, each text's tensors joined along the batch axis.
void show_texts(const Observer& observer, const std::vector<TextConditions>& texts) {
  if (!observer.on_tensor) return;
  const auto show_rows = [&](std::string_view name, auto row_of) {
    std::vector<at::Tensor> rows;
    for (const TextConditions& text : texts) rows.push_back(row_of(text));
    const bool joined = std::ranges::all_of(
        rows, [&](const at::Tensor& row) { return row.defined() && row.sizes() == rows.front().sizes(); });
    if (joined) show(observer, name, at::cat(rows));
  };
  const auto part = [](const std::optional<Condition>& condition, at::Tensor Condition::*member) {
    const at::Tensor tensor = condition ? (*condition).*member : at::Tensor();
    return tensor.defined() ? tensor.to(at::kFloat) : tensor;
  };
  show_rows("tokens", [](const TextConditions& text) { return text.tokens; });
  show_rows("uncond_tokens", [](const TextConditions& text) { return text.uncond_tokens; });
  show_rows("context", [&](const TextConditions& text) { return part(text.conditional, &Condition::context); });
  show_rows("uncond_context",
            [&](const TextConditions& text) { return part(text.unconditional, &Condition::context); });
  show_rows("pooled", [&](const TextConditions& text) { return part(text.conditional, &Condition::pooled); });
  show_rows("uncond_pooled", [&](const TextConditions& text) { return part(text.unconditional, &Condition::pooled); });
  const auto& first = texts.front().conditional ? texts.front().conditional : texts.front().unconditional;
  for (size_t i = 0; i < first->image_tokens.size(); ++i) {
    const auto tokens = [i](const std::optional<Condition>& condition) {
      return condition ? condition->image_tokens[i].to(at::kFloat) : at::Tensor();
    };
    show_rows(fmt::format("image_tokens.{}", i), [&](const TextConditions& text) { return tokens(text.conditional); });
    show_rows(fmt::format("uncond_image_tokens.{}", i),
              [&](const TextConditions& text) { return tokens(text.unconditional); });
  }
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

/// The pictures' generators, by the rules that they share.
Noise noise_of(const Components& model, Batch batch) {
  std::vector<PictureNoise> pictures;
  for (const ResolvedRequest& picture : batch) pictures.push_back(picture_noise(picture.request));
  const Request& shared = batch.front().request;
  NoiseRules rules = compat_rules(shared).noise;
  const auto& other = shared.seed_resize;
  if (other && other->vertical > 0 && other->horizontal > 0) {  // A1111's 0 is none
    const int64_t factor = model.description.vae.factor();
    rules.other_size = {other->vertical / factor, other->horizontal / factor};
  }
  return {std::move(pictures), std::move(rules)};
}

/// Each picture's texts, each different text encoded once.
std::vector<TextConditions> encode(const Components& model, TextMemory& memory, Batch batch,
                                   std::shared_ptr<const PromptEmbeddings> ResolvedRequest::*words) {
  std::vector<TextConditions> texts;
  const bool sums = std::ranges::any_of(batch, [](const ResolvedRequest& each) { return each.prompts.composed(); });
  for (const ResolvedRequest& picture : batch) {
    texts.push_back(encode_prompts(model, memory, picture.request, picture.prompts, *(picture.*words), sums));
  }
  return texts;
}

/// Keeps what is not repainted, and tells the observer of each step that is one still.
std::function<at::Tensor(const SamplerStep&)> touched(const Blend& blend, const Observer& observer,
                                                      FiniteWatch& watch) {
  return [&](SamplerStep step) {
    step.latent = blend.after_step(step);
    watch.look(step);
    show(observer, fmt::format("step.{:03}.latent", step.index), step.latent);
    if (observer.on_step)
      observer.on_step({.index = step.index,
                        .count = step.count,
                        .timestep = step.timestep,
                        .sigma = step.sigma,
                        .latent = step.latent,
                        .predicted = step.predicted});
    return step.latent;
  };
}

/// Lets each picture's conditions bring what the network sees beside the latent.
void show_to_network(std::vector<TextConditions>& texts, const at::Tensor& extra_channels) {
  if (!extra_channels.defined()) return;
  for (size_t i = 0; i < texts.size(); ++i) {
    for (auto* condition : {&texts[i].conditional, &texts[i].unconditional}) {
      if (*condition) (*condition)->extra_channels = extra_channels.narrow(0, static_cast<int64_t>(i), 1);
    }
  }
}

/// Work of this thread on a GPU goes into a stream beside that of others, as long as it lives; nothing on the CPU.
class StreamOfItsOwn {
 public:
  explicit StreamOfItsOwn(at::Device device) {
    if (!device.is_cuda()) return;
    stream_ = c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device);
    guard_.emplace(*stream_);
  }

  /// Waits for it.
  void finish() const {
    if (stream_) stream_->synchronize();
  }

 private:
  std::optional<c10::Stream> stream_{};
  std::optional<c10::StreamGuard> guard_{};
};

/// What a pass begins with, in the order in which it draws from the generators.
using Begin = std::function<Beginning(Noise& noise)>;

/// One pass: prompts → conditions → the denoised latent.
at::Tensor draw_latent(const PipelineNetworks& networks, const AdaptedNetworks::Use& adapted, Batch batch,
                       const Begin& begin, const Observer& observer) {
  const Components& model = networks.model;
  const ResolvedRequest& shared = batch.front();
  const int64_t own = steps_of(shared.plan), all = networks.refiner ? own + steps_of(*shared.refiner_plan) : own;

  enter(observer, Stage::text);
  std::vector<TextStretch> stretches = encode_stretches(
      adapted, shared.loras, all, [&] { return encode(model, *networks.texts, batch, &ResolvedRequest::words); });
  for (TextStretch& stretch : stretches) prompt_by_pictures(model, batch, stretch.texts);
  const std::vector<TextConditions>& texts = stretches.front().texts;
  show_texts(observer, texts);
  std::vector<TextConditions> refining;
  if (networks.refiner) {
    refining = encode(*networks.refiner, *networks.refiner_texts, batch, &ResolvedRequest::refiner_words);
  }

  enter(observer, Stage::denoise);
  Noise noise = noise_of(model, batch);
  const Beginning beginning = begin(noise);
  for (TextStretch& stretch : stretches) show_to_network(stretch.texts, beginning.extra_channels);
  show_plan(observer, shared);
  FiniteWatch watch(model, texts, shared.request);
  SamplerContext context{
      .noise = noise,
      .after_step = touched(beginning.blend, observer, watch),
      .within_step = [&](const at::Tensor& x, double sigma) { return beginning.blend.within_step(x, sigma); },
      .steps = all};
  const auto guided_by = [&](const std::vector<TextConditions>& own_texts) {
    return guided(model, own_texts, shared, steered_by_pictures(model, batch));
  };
  at::Tensor latent =
      run_sampler(beginning.start, over_stretches(stretches, adapted, shared.loras, guided_by), context);
  watch.finish();
  if (networks.refiner) {
    FiniteWatch refiner_watch(*networks.refiner, refining, shared.request);
    context.first_step = own;
    context.after_step = touched(beginning.blend, observer, refiner_watch);
    latent = run_sampler(start_from_latent(*shared.refiner_plan, latent),
                         guided_refiner(*networks.refiner, refining, shared), context);
    refiner_watch.finish();
  }
  show(observer, "latent", latent);
  return latent;
}

}  // namespace

Drawn draw(const PipelineNetworks& networks, Batch batch, const Observer& observer) {
  const c10::InferenceMode no_gradients;
  const NoteScope scope;
  const Components& model = networks.model;
  const std::vector<ResolvedLora>& loras = batch.front().loras;
  const auto adapted = networks.adapted->use(model, *networks.texts, set_at(loras, 0, 0, 1), vary(loras));
  const Passes passes(batch, observer);
  at::Tensor latent = draw_latent(
      networks, adapted, batch, [&](Noise& noise) { return begin_batch(model, batch, noise, passes.first_observer()); },
      passes.first_observer());
  if (passes.has_second()) {
    latent = draw_latent(
        networks, adapted, passes.second(), [&](Noise& noise) { return passes.begin_second(model, latent, noise); },
        passes.second_observer());
  }

  enter(observer, Stage::decode);
  release_kept_memory();  // the steps' sizes are not the VAE's: the two would stand beside each other
  DecodedPictures decoded = decode(networks.last(), latent, batch.front().tiles);
  decoded.pictures = keep_unmasked(batch, decoded.pictures);
  release_kept_memory();  // nor are the VAE's those of the next picture's steps
  show(observer, "image", decoded.pictures);
  return {.pictures = decoded.pictures,
          .again_in_fp32 = std::move(decoded.again_in_fp32),
          .in_tiles = std::move(decoded.in_tiles),
          .notes = scope.notes()};
}

void encode_ahead(const PipelineNetworks& networks, Batch batch) {
  const c10::InferenceMode no_gradients;
  const std::vector<ResolvedLora>& loras = batch.front().loras;
  if (vary(loras)) return;
  const auto adapted = networks.adapted->use_beside(networks.model, *networks.texts, set_at(loras, 0, 0, 1));
  if (!adapted) return;
  const StreamOfItsOwn stream(networks.model.device);
  TextMemory own(networks.texts.get()), of_refiner(networks.refiner_texts.get());
  encode(networks.model, own, batch, &ResolvedRequest::words);
  if (networks.refiner) encode(*networks.refiner, of_refiner, batch, &ResolvedRequest::refiner_words);
  stream.finish();
  own.hand_on();
  of_refiner.hand_on();
}

}  // namespace sdtorch
