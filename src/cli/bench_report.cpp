#include "cli/bench_report.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace sdtorch {
namespace {

using Json = nlohmann::ordered_json;

constexpr double giga = 1e9;

Json stage_object(const StageProfile& stage) {
  Json kinds = Json::object();
  for (const KindCost& kind : stage.kinds) {
    kinds[std::string(kind.kind)] = {{"calls", kind.calls}, {"flops", kind.flops}, {"seconds", kind.seconds}};
  }
  return {{"seconds", stage.seconds}, {"flops", stage.flops}, {"kinds", kinds}};
}

double share_of_floor(const BenchProfile& p) { return p.step.seconds > 0 ? p.floor_s() / p.step.seconds : 0; }

std::string json_line(const BenchResult& r) {
  Json object = {{"load_s", r.load_s},
                 {"text_s", r.text_s},
                 {"first_step_s", r.first_step_s},
                 {"step_median_s", r.step_median_s},
                 {"steps", r.steps},
                 {"vae_s", r.vae_s},
                 {"png_s", r.png_s},
                 {"total_s", r.total_s},
                 {"peak_rss_mb", r.peak_rss_mb},
                 {"device", r.device},
                 {"dtype", r.dtype},
                 {"threads", r.threads}};
  if (r.profile) {
    object["profile"] = {{"step", stage_object(r.profile->step)},
                         {"vae", stage_object(r.profile->vae)},
                         {"product_flops_per_s", r.profile->product_rate},
                         {"floor_s", r.profile->floor_s()},
                         {"share_of_rate", share_of_floor(*r.profile)}};
  }
  return object.dump() + "\n";
}

/// A table: a kind a row, its own rate beside the machine's where it multiplies matrices.
std::string stage_table(const std::string& title, const StageProfile& stage, double product_rate) {
  std::string text = fmt::format("\n{:<24} {:>7} {:>9} {:>9} {:>6} {:>9} {:>9}\n", title, "calls", "seconds", "of it",
                                 "GFLOP", "GFLOP/s", "of rate");
  const auto row = [&](std::string_view name, const std::string& calls, double flops, double seconds) {
    text += fmt::format("{:<24} {:>7} {:>9.3f} {:>8.1f}%", name, calls, seconds, 100 * seconds / stage.seconds);
    if (flops > 0 && seconds > 0) {
      text += fmt::format(" {:>6.0f} {:>9.1f}", flops / giga, flops / seconds / giga);
      if (product_rate > 0) text += fmt::format(" {:>8.1f}%", 100 * flops / seconds / product_rate);
    }
    text += "\n";
  };
  for (const KindCost& kind : stage.kinds) {
    row(kind.kind, kind.calls > 0 ? std::to_string(kind.calls) : "", kind.flops, kind.seconds);
  }
  row("all", "", stage.flops, stage.seconds);
  return text;
}

std::string profile_text(const BenchProfile& p) {
  std::string text = stage_table("a step", p.step, p.product_rate) + stage_table("vae", p.vae, p.product_rate);
  if (p.product_rate <= 0) return text;
  return text + fmt::format(
                    "\nThis machine multiplies a step's matrices at {:.1f} GFLOP/s: {:.1f} GFLOP in {:.3f} s at the "
                    "least, {:.0f}% of what the step took.\n",
                    p.product_rate / giga, p.step.flops / giga, p.floor_s(), 100 * share_of_floor(p));
}

}  // namespace

std::string bench_text(const BenchResult& r, bool json) {
  if (json) return json_line(r);
  const auto row = [](const std::string& stage, double seconds) {
    return fmt::format("{:<24} {:>10.3f} s\n", stage, seconds);
  };
  const std::string stages = row("load", r.load_s) + row("text", r.text_s) + row("first step", r.first_step_s) +
                             row(fmt::format("step (median of {})", r.steps), r.step_median_s) + row("vae", r.vae_s) +
                             row("png", r.png_s) + row("total", r.total_s);
  return fmt::format("{} on {}, {} thread{}\n", r.dtype, r.device, r.threads, r.threads == 1 ? "" : "s") + stages +
         fmt::format("{:<24} {:>10.0f} MiB\n", "peak memory", r.peak_rss_mb) +
         (r.profile ? profile_text(*r.profile) : "");
}

std::string bench_part_line(std::string_view part, double seconds) {
  return Json({{"part", part}, {"seconds", seconds}}).dump() + "\n";
}

}  // namespace sdtorch
