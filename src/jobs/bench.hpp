// `sdtorch bench`: what each stage of drawing one picture costs.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "jobs/bench_profile.hpp"
#include "pipeline/settings.hpp"

namespace sdtorch {

struct BenchOptions {
  bool profile = false;  ///< record each kind of layer, and measure what the machine could do
  /// Called after each part, load, text, step, vae and, for the first picture, png, with its seconds; what it does
  /// itself is not measured. Returns whether to draw another picture after this one. Unset: one is drawn.
  std::function<bool(std::string_view part, double seconds)> after_part{};
};

/// Wall-clock seconds of one batch, model loading included, nothing warmed up before.
struct BenchResult {
  double load_s = 0;         ///< configs, tokenizer and weights
  double text_s = 0;         ///< both prompts through the text encoder
  double first_step_s = 0;   ///< the first denoising step: the guided pair and the sampler's own work
  double step_median_s = 0;  ///< of the steps after the first; the first where there is no other
  int64_t steps = 0;
  double vae_s = 0;        ///< latents → pictures
  double png_s = 0;        ///< pictures → PNGs in memory
  double total_s = 0;      ///< from the start of loading to the PNG
  double peak_rss_mb = 0;  ///< largest resident memory of the process, in MiB; before the machine itself is measured
  std::string device{};
  std::string dtype{};
  int threads = 0;  ///< inside an operator
  std::optional<BenchProfile> profile{};
};

/// Draws the first batch and measures; writes nothing. Throws as run_jobs does.
BenchResult run_bench(const Settings& settings, const BenchOptions& options = {});

}  // namespace sdtorch
