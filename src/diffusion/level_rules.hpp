// What other tools do to a sampler's noise levels unasked.
#pragma once

#include "diffusion/sampler.hpp"

namespace sdtorch {

/// The sampler that a tool has by that one's name: ComfyUI's `ddim` is Euler's method on its noise levels.
const Sampler& as_named_by(ScheduleRules rules, const Sampler& sampler);

/// Whether the rules lay out that sampler's levels at all: those that work on timesteps have none.
bool has_level_rules(const Sampler& sampler, ScheduleRules rules);

/// The schedule that a tool takes for a sampler where none is chosen: A1111's "Automatic", else `normal`, from which
/// its sampler list (modules/sd_samplers_kdiffusion.py) departs; ComfyUI's and stable-diffusion.cpp's first choice.
const SigmaSchedule& usual_schedule(const Sampler& sampler, ScheduleRules rules);

/// Whether it lays out a level more and leaves out the one before the last: A1111's list, and ComfyUI's set of samplers
/// (comfy/samplers.py).
bool discards_next_to_last(const Sampler& sampler, ScheduleRules rules);

/// What the rules make of a model's config that would say otherwise: runs end at 0, and A1111's DDIM takes the
/// timesteps 1, 1 + stride, … and goes on to the first.
void settle_by_rules(SchedulerConfig& config, const Sampler& sampler, ScheduleRules rules);

/// Scales the start noise as the plan's rules say. A plan is ready but for that.
void scale_start(SamplingPlan& plan);

}  // namespace sdtorch
