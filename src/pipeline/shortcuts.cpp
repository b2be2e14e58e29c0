#include "pipeline/shortcuts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "networks/unet.hpp"
#include "pipeline/model_description.hpp"

namespace sdtorch {
namespace {

constexpr double largest_interval = 1'000'000;
constexpr double largest_ratio = 0.75;  // of each four tokens one is what the others are merged into

bool is_whole(double number, double least, double most) {
  return number >= least && number <= most && number == std::floor(number);
}

void refuse_beside(const char* flag, const char* other, const char* reason) {
  refuse(flag, fmt::format("does not go with {}, {}", other, reason), "leave one of them out");
}

void check_beside_self_attention_guidance(const Request& request) {
  if (request.sag_scale == 0) return;
  constexpr const char* other = "--sag-scale";
  constexpr const char* reason = "which looks at all layers of a second picture at each step";
  if (!request.deep_cache.empty()) refuse_beside("--deep-cache", other, reason);
  if (!request.tome.empty()) refuse_beside("--tome", other, reason);
  if (request.tgate) refuse_beside("--tgate", other, reason);
}

void check_branch(const ModelDescription& model, size_t branch) {
  const size_t skips = skip_count(model.unet);
  if (branch < skips) return;
  refuse("--deep-cache", fmt::format("branch {} is none of {}, which has {}", branch, model.name, skips),
         fmt::format("0…{}; the least is the fastest", skips - 1));
}

/// How many times smaller on a side than the latent the finest picture is that self-attention looks at; 0: there is
/// none.
int64_t finest_attention(const UNetConfig& config) {
  int64_t smaller = 1;
  for (const UNetLevel& level : config.levels) {
    const auto any = [](const std::vector<int64_t>& depths) {
      return std::ranges::any_of(depths, [](int64_t depth) { return depth > 0; });
    };
    if (any(level.down_transformers) || any(level.up_transformers)) return smaller;
    smaller *= 2;
  }
  return config.mid_block == MidBlock::cross_attention && config.mid_transformer > 0 ? smaller / 2 : 0;
}

void check_merging(const ModelDescription& model, const Merging& merging) {
  const int64_t finest = finest_attention(model.unet);
  if (finest > 0 && finest <= merging.coarsest) return;
  constexpr const char* flag = "--tome";
  if (finest == 0) refuse(flag, fmt::format("{} has no transformers whose tokens could be merged", model.name));
  refuse(flag,
         fmt::format("the finest transformers of {} see a picture {} times smaller than the latent, and merging is for "
                     "{} times at most",
                     model.name, finest, merging.coarsest),
         fmt::format("say --tome {},{}", merging.ratio, finest));
}

void check_gate(const ModelDescription& model, const ModelDescription* refiner, const Request& request, int64_t steps) {
  constexpr const char* flag = "--tgate";
  if (refiner) refuse_beside(flag, "--refiner", "whose layers never saw the first steps");
  if (model.task == Task::instruct_pix2pix) {
    refuse(flag, fmt::format("{} is a model for {}, which is guided in three ways", model.name, name_of(model.task)));
  }
  if (*request.tgate >= steps) {
    refuse(flag, fmt::format("step {} never comes: {} are drawn", *request.tgate, steps),
           steps > 1 ? fmt::format("1…{}", steps - 1) : std::string());
  }
}

}  // namespace

void check_shortcuts(const Request& request) {
  if (const auto& said = request.deep_cache; !said.empty()) {
    const bool fits = said.size() <= 2 && is_whole(said[0], 2, largest_interval) &&
                      (said.size() == 1 || is_whole(said[1], 0, largest_interval));
    if (!fits) {
      refuse("--deep-cache", "must be a whole number of 2 or more, and a branch of 0 or more if any",
             "N[,BRANCH], as 3 or 2,1");
    }
  }
  if (const auto& said = request.tome; !said.empty()) {
    constexpr double coarsest[] = {1, 2, 4, 8};
    const bool fits = said.size() <= 2 && said[0] > 0 && said[0] <= largest_ratio &&
                      (said.size() == 1 || std::ranges::find(coarsest, said[1]) != std::end(coarsest));
    if (!fits) {
      refuse("--tome", fmt::format("must be a ratio above 0 and up to {}, and 1, 2, 4 or 8 if any", largest_ratio),
             "RATIO[,TIMES], as 0.5 or 0.5,2");
    }
  }
  if (request.tgate && request.pag_scale != 0) {
    refuse_beside("--tgate", "--pag-scale", "whose perturbed evaluation it would mix in");
  }
  check_beside_self_attention_guidance(request);
}

Shortcuts resolve_shortcuts(const ModelDescription& model, const ModelDescription* refiner, const Request& request,
                            int64_t steps) {
  Shortcuts shortcuts;
  if (const auto& said = request.deep_cache; !said.empty()) {
    const size_t branch = said.size() > 1 ? static_cast<size_t>(said[1]) : 0;
    shortcuts.deep_cache = {.interval = static_cast<int64_t>(said[0]), .branch = branch};
    for (const ModelDescription* one : {&model, refiner}) {
      if (one) check_branch(*one, branch);
    }
  }
  if (const auto& said = request.tome; !said.empty()) {
    shortcuts.merging = {.ratio = said[0], .coarsest = said.size() > 1 ? static_cast<int64_t>(said[1]) : 1};
    for (const ModelDescription* one : {&model, refiner}) {
      if (one) check_merging(*one, *shortcuts.merging);
    }
  }
  if (request.tgate) {
    check_gate(model, refiner, request, steps);
    shortcuts.gate_step = request.tgate;
  }
  return shortcuts;
}

}  // namespace sdtorch
