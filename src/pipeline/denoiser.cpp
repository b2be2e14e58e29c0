#include "pipeline/denoiser.hpp"

#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <utility>

#include "networks/captured_unet.hpp"
#include "networks/self_attention.hpp"
#include "pipeline/self_attention_guidance.hpp"

namespace sdtorch {
namespace {

/// The guidance scale as the network of a guidance-distilled model takes it: w = scale - 1 (Luo et al. 2023,
/// section 4.2), embedded. In fp32 and in the reference's order: an angle is up to 1000 w. → fp32 [1, width]
at::Tensor guidance_embedding(double scale, int64_t width) {
  constexpr float longest_period = 10000;
  const int64_t half = width / 2;
  const at::Tensor w = at::full({1}, scale - 1, at::kFloat) * 1000.0;
  const float step = std::log(longest_period) / static_cast<float>(half - 1);
  const at::Tensor frequencies = (at::arange(half, at::kFloat) * -step).exp();
  const at::Tensor angle = w.unsqueeze(1) * frequencies.unsqueeze(0);
  const at::Tensor waves = at::cat({angle.sin(), angle.cos()}, 1);
  return width % 2 == 0 ? waves : at::constant_pad_nd(waves, {0, 1});
}

/// A condition of a picture, at a call where it holds.
struct Row {
  int64_t number = 0;  ///< see NetworkRows
  const Condition* condition = nullptr;

  bool operator==(const Row&) const = default;
};

/// [1, …] each → [n, …]; undefined where they are.
at::Tensor join(const std::vector<Row>& rows, at::Tensor Condition::*part) {
  if (!(rows.front().condition->*part).defined()) return {};
  std::vector<at::Tensor> tensors;
  for (const Row& row : rows) tensors.push_back(row.condition->*part);
  return at::cat(tensors);
}

/// The same of lists.
std::vector<at::Tensor> join_lists(const std::vector<Row>& rows, std::vector<at::Tensor> Condition::*part) {
  std::vector<at::Tensor> joined;
  for (size_t i = 0; i < (rows.front().condition->*part).size(); ++i) {
    std::vector<at::Tensor> tensors;
    for (const Row& row : rows) tensors.push_back((row.condition->*part)[i]);
    joined.push_back(at::cat(tensors));
  }
  return joined;
}

/// Rows of one network call: those whose contexts are equally long.
struct Group {
  std::vector<int64_t> places{};   ///< in all rows
  std::vector<int64_t> numbers{};  ///< see NetworkRows
  int64_t first_perturbed = 0;     ///< those that are stand last
  at::Tensor context{}, pooled{}, time_ids{}, extra_channels{};
  std::vector<at::Tensor> image_tokens{};
  DeepCache deep_cache{};  ///< empty until a whole call, as for rows that are others than before
  KeptKeys kept_keys{};    ///< of `context`

  /// Whether row i is of picture i mod `pictures`, several rows of each.
  bool repeats(int64_t pictures) const {
    if (std::ssize(numbers) <= pictures || std::ssize(numbers) % pictures != 0) return false;
    for (size_t i = 0; i < numbers.size(); ++i) {
      if ((numbers[i] - static_cast<int64_t>(i)) % pictures != 0) return false;
    }
    return true;
  }

  /// x: [pictures, 4, h, w] → each row's.
  at::Tensor rows_of(const at::Tensor& x) const {
    std::vector<at::Tensor> samples;
    for (const int64_t number : numbers) samples.push_back(x.narrow(0, number % x.size(0), 1));
    return at::cat(samples);
  }
};

std::vector<Group> grouped(const std::vector<Row>& rows) {
  std::map<int64_t, std::vector<int64_t>> by_length;
  for (size_t r = 0; r < rows.size(); ++r) {
    by_length[rows[r].condition->context.size(1)].push_back(static_cast<int64_t>(r));
  }
  std::vector<Group> groups;
  for (auto& [length, places] : by_length) {
    std::vector<Row> members;
    std::vector<int64_t> numbers;
    for (const int64_t place : places) members.push_back(rows[static_cast<size_t>(place)]);
    for (const Row& row : members) numbers.push_back(row.number);
    const int64_t perturbed = std::ranges::count_if(members, [](const Row& row) { return row.condition->perturbed; });
    groups.push_back({.places = std::move(places),
                      .numbers = std::move(numbers),
                      .first_perturbed = std::ssize(members) - perturbed,
                      .context = join(members, &Condition::context),
                      .pooled = join(members, &Condition::pooled),
                      .time_ids = join(members, &Condition::time_ids),
                      .extra_channels = join(members, &Condition::extra_channels),
                      .image_tokens = join_lists(members, &Condition::image_tokens)});
  }
  return groups;
}

/// What the network gives for some rows, in their order.
struct Evaluated {
  at::Tensor output{};         ///< fp32 [rows, 4, h, w]
  at::Tensor attention_map{};  ///< see SelfAttentionHooks; undefined where it is not asked for
};

class Denoiser {
 public:
  Denoiser(const Components& model, Conditions conditions, DenoiserOptions options)
      : unet_(model.unet),
        captured_(model.captured),
        dtype_(model.dtype),
        conditions_(std::move(conditions)),
        options_(std::move(options)) {
    if (const int64_t width = unet_->config().time_cond_proj_dim; width > 0) {
      guidance_ = guidance_embedding(options_.guidance_scale, width).to(model.device);
    }
    for (const std::string& key : options_.perturbed) perturbed_.insert(find_self_attention(*unet_, key));
    for (const WeightedHypernetwork& one : options_.hypernetworks) {
      hypernetworks_.networks.emplace_back(one.network->on(model.device, dtype_), one.weight);
    }
    if (!options_.image_scales.empty()) image_ = model.ip_adapters->attention(*unet_, options_.image_scales);
    if (options_.sag_scale != 0) observed_ = find_self_attention(*unet_, middle_self_attention(unet_->config()));
  }

  ModelOutput operator()(const at::Tensor& x, const DenoiserCall& call) {
    gather(call);
    const int64_t pictures = x.size(0);
    prepare_shortcuts(pictures, call);
    const Evaluated all = evaluate(groups_, x, call, observed_);
    const std::vector<at::Tensor> blocks = all.output.split(pictures);
    std::vector<at::Tensor> outputs(conditions_.pictures.front().size());
    for (size_t i = 0; i < blocks.size(); ++i) {
      outputs[static_cast<size_t>(rows_[i * static_cast<size_t>(pictures)].number / pictures)] = blocks[i];
    }
    at::Tensor combined = conditions_.combine(outputs, x, call);
    if (observed_) combined = combined + self_attention_guidance(x, blocks.front(), all.attention_map, call);
    return {combined, conditions_.renoised_by ? outputs[*conditions_.renoised_by] : at::Tensor()};
  }

 private:
  /// What leads away from the first condition's output where the picture is blurred (Hong et al. 2023, eq. 16).
  at::Tensor self_attention_guidance(const at::Tensor& x, const at::Tensor& output, const at::Tensor& map,
                                     const DenoiserCall& call) {
    const at::Tensor blurred = degraded(x, output, map.narrow(0, 0, x.size(0)),
                                        {.prediction = options_.prediction,
                                         .at = mixture_at_call(call.sigma),
                                         .levels = unet_->config().levels.size()});
    std::vector<Group> first = grouped({rows_.begin(), rows_.begin() + x.size(0)});
    return options_.sag_scale * (output - evaluate(first, blurred, call, nullptr).output);
  }

  /// x: [B, 4, h, w]: each picture's own, whichever rows are of it.
  Evaluated evaluate(std::vector<Group>& groups, const at::Tensor& x, const DenoiserCall& call,
                     const CrossAttentionImpl* observed) {
    if (groups.size() == 1) return evaluate(groups.front(), x, call, observed);
    std::map<int64_t, std::pair<at::Tensor, at::Tensor>> by_place;
    for (Group& group : groups) {
      const Evaluated some = evaluate(group, x, call, observed);
      for (size_t i = 0; i < group.places.size(); ++i) {
        const auto at = static_cast<int64_t>(i);
        const bool seen = observed && at < some.attention_map.size(0);
        by_place[group.places[i]] = {some.output.narrow(0, at, 1),
                                     seen ? some.attention_map.narrow(0, at, 1) : at::Tensor()};
      }
    }
    std::vector<at::Tensor> outputs, maps;
    for (const auto& [place, parts] : by_place) {
      outputs.push_back(parts.first);
      if (parts.second.defined()) maps.push_back(parts.second);
    }
    return {.output = at::cat(outputs), .attention_map = maps.empty() ? at::Tensor() : at::cat(maps)};
  }

  Evaluated evaluate(Group& group, const at::Tensor& x, const DenoiserCall& call, const CrossAttentionImpl* observed) {
    SelfAttentionHooks hooks{.perturbed = perturbed_, .first_perturbed = group.first_perturbed, .observed = observed};
    std::optional<TokenMerging> merging = merging_at(x, call);
    if (merging) hooks.merging = &*merging;
    if (!hypernetworks_.networks.empty()) {
      hypernetworks_.pictures.clear();
      for (const int64_t number : group.numbers) hypernetworks_.pictures.push_back(number % x.size(0));
      hooks.hypernetworks = &hypernetworks_;
    }
    if (options_.shortcuts.gate_step) {
      gate_.set_rows(at::tensor(group.numbers, at::kLong).remainder(x.size(0)).to(x.device()));
      hooks.gate = &gate_;
    }
    const bool hooked = observed || !perturbed_.empty() || hooks.acts();
    // What tells a picture's rows apart before the text does: see UNetInput.
    const bool apart = observed || !perturbed_.empty() || hooks.hypernetworks || options_.steering ||
                       group.pooled.defined() || group.extra_channels.defined();
    const at::Tensor sample = !apart && group.repeats(x.size(0)) ? x : group.rows_of(x);
    UNetInput input{.sample = sample.to(dtype_),
                    .timestep = at::full({sample.size(0)}, call.timestep, sample.options().dtype(at::kFloat)),
                    .context = group.context,
                    .pooled = group.pooled,
                    .time_ids = group.time_ids,
                    .attention = hooked ? &hooks : nullptr,
                    .freeu = options_.freeu,
                    .deep_cache = options_.shortcuts.deep_cache ? &group.deep_cache : nullptr,
                    .kept_keys = options_.weights_stay ? &group.kept_keys : nullptr};
    if (group.extra_channels.defined()) input.extra_channels = group.extra_channels.to(dtype_);
    if (image_) input.image = {.attention = &*image_, .tokens = group.image_tokens};
    if (guidance_.defined()) input.guidance = guidance_.repeat({sample.size(0), 1});
    if (options_.steering) {
      options_.steering(input, {.numbers = group.numbers,
                                .pictures = std::ssize(conditions_.pictures),
                                .conditions = std::ssize(conditions_.pictures.front()),
                                .call = call.call});
    }
    const at::Tensor output = forward_captured(*unet_, *captured_, input, call.steps - call.step).to(at::kFloat);
    return {.output = output, .attention_map = hooks.map};
  }

  /// What of this call is to be kept for others, and what of others is to be used.
  void prepare_shortcuts(int64_t pictures, const DenoiserCall& call) {
    using enum ContextGate::Mode;
    const Shortcuts& shortcuts = options_.shortcuts;
    ContextGate::Mode mode = open;
    if (shortcuts.gate_step && call.step + 1 >= *shortcuts.gate_step) {
      mode = call.step < *shortcuts.gate_step ? keep : closed;
    }
    gate_.begin(mode, pictures);
    if (!shortcuts.deep_cache) return;
    const bool whole = calls_++ % shortcuts.deep_cache->interval == 0 || mode == keep;  // all layers are to be kept
    for (Group& group : groups_) {
      group.deep_cache.branch = shortcuts.deep_cache->branch;
      group.deep_cache.reuse = !whole && group.deep_cache.feature.defined();
    }
  }

  /// x: [pictures, 4, h, w]. The draw depends on the call's number alone, whichever rows share it.
  std::optional<TokenMerging> merging_at(const at::Tensor& x, const DenoiserCall& call) const {
    const std::optional<Merging>& merging = options_.shortcuts.merging;
    if (!merging) return std::nullopt;
    return TokenMerging{.ratio = merging->ratio,
                        .coarsest = merging->coarsest,
                        .height = x.size(2),
                        .width = x.size(3),
                        .choice = at::detail::createCPUGenerator(static_cast<uint64_t>(call.call))};
  }

  /// The conditions that hold at this call, and the groups that they make where they are others than before.
  void gather(const DenoiserCall& call) {
    const int64_t pictures = std::ssize(conditions_.pictures);
    std::vector<Row> rows;
    for (size_t c = 0; c < conditions_.pictures.front().size(); ++c) {
      for (int64_t picture = 0; picture < pictures; ++picture) {
        const Condition* condition = conditions_.pictures[static_cast<size_t>(picture)][c](call);
        if (condition) rows.push_back({static_cast<int64_t>(c) * pictures + picture, condition});
      }
    }
    if (rows == rows_) return;
    rows_ = std::move(rows);
    groups_ = grouped(rows_);
  }

  std::shared_ptr<UNet2DConditionModel> unet_;
  std::shared_ptr<CapturedCalls> captured_;
  at::ScalarType dtype_;
  Conditions conditions_;
  DenoiserOptions options_;
  at::Tensor guidance_{};  ///< fp32 [1, time_cond_proj_dim]
  std::set<const CrossAttentionImpl*> perturbed_{};
  const CrossAttentionImpl* observed_ = nullptr;
  std::optional<ImageAttention> image_{};
  std::vector<Row> rows_{};  ///< those of now, all pictures of the first condition in front
  std::vector<Group> groups_{};
  int64_t calls_ = 0;  ///< so far
  ContextGate gate_{};
  HypernetworkCall hypernetworks_{};
};

}  // namespace

Model denoiser(const Components& model, Conditions conditions, DenoiserOptions options) {
  auto shared = std::make_shared<Denoiser>(model, std::move(conditions), std::move(options));
  return [shared](const at::Tensor& x, const DenoiserCall& call) { return (*shared)(x, call); };
}

}  // namespace sdtorch
