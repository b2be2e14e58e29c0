#include "cli/bench_report.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace sdtorch {
namespace {

std::string json_line(const BenchResult& r) {
  const nlohmann::ordered_json object = {{"load_s", r.load_s},
                                         {"text_s", r.text_s},
                                         {"first_step_s", r.first_step_s},
                                         {"step_median_s", r.step_median_s},
                                         {"steps", r.steps},
                                         {"vae_s", r.vae_s},
                                         {"png_s", r.png_s},
                                         {"total_s", r.total_s},
                                         {"peak_rss_mb", r.peak_rss_mb},
                                         {"device", r.device},
                                         {"dtype", r.dtype}};
  return object.dump() + "\n";
}

}  // namespace

std::string bench_text(const BenchResult& r, bool json) {
  if (json) return json_line(r);
  const auto row = [](const std::string& stage, double seconds) {
    return fmt::format("{:<24} {:>10.3f} s\n", stage, seconds);
  };
  return fmt::format("{} on {}\n", r.dtype, r.device) + row("load", r.load_s) + row("text", r.text_s) +
         row("first step", r.first_step_s) + row(fmt::format("step (median of {})", r.steps), r.step_median_s) +
         row("vae", r.vae_s) + row("png", r.png_s) + row("total", r.total_s) +
         fmt::format("{:<24} {:>10.0f} MiB\n", "peak memory", r.peak_rss_mb);
}

}  // namespace sdtorch
