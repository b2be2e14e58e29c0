#include "jobs/previews.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "core/error.hpp"
#include "core/log.hpp"
#include "io/atomic_file.hpp"
#include "io/image.hpp"
#include "io/resize.hpp"
#include "jobs/output_folder.hpp"
#include "pipeline/pipeline_description.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;

constexpr const char* keyword = "sdtorch-preview";
constexpr int64_t most_preview_side = 512;  // pixels: more are only slower to write

bool decodes_by_tiny_vae(const Pipeline& pipeline) {
  const PipelineDescription& described = pipeline.model().description();
  return (described.refiner ? *described.refiner : described.model).tiny_vae.has_value();
}

bool is_interrupt(const Error& error) {
  return error.kind() == ErrorKind::interrupted || error.kind() == ErrorKind::terminated;
}

/// As large as the picture will be, or as large as is sensible.
Image enlarged(const Image& cells, int64_t factor) {
  const int64_t longest = std::max(cells.width, cells.height);
  const int64_t times = std::clamp<int64_t>(most_preview_side / longest, 1, factor);
  return resize(cells, cells.width * times, cells.height * times, Resampling::bilinear);
}

void check_free_for_preview(const fs::path& file) { check_free_or_own(file, keyword, "preview", "--preview"); }

}  // namespace

fs::path preview_file(const OutputOptions& output) {
  if (!output.preview.empty()) return output.preview;
  return (output.output.empty() ? output.outdir : output.output.parent_path()) / "preview.png";
}

bool is_preview(const fs::path& file) { return carries_text(file, keyword); }

void check_previews(const OutputOptions& output) {
  if (output.preview_every == 0) return;
  const fs::path file = preview_file(output);
  if (output.preview.empty() && output.output.empty()) {
    check_folder(output.outdir);  // which the run makes
  } else {
    check_file(file);
  }
  check_free_for_preview(file);
}

Previews::Previews(fs::path file, int64_t every) : file_(std::move(file)), every_(every) {}

bool Previews::add(const Pipeline& pipeline, const Step& step, const Request& request) {
  if (failed_ || (step.index + 1) % every_ != 0) return false;
  try {
    const Image picture = picture_of(pipeline, step, request);
    check_free_for_preview(file_);  // it may have become a picture's meanwhile
    write_file_atomically(file_,
                          encode_png(picture, {{keyword, fmt::format("step {} of {}", step.index + 1, step.count)}}));
    return true;
  } catch (const Error& error) {
    if (is_interrupt(error)) throw;
    log_warning(fmt::format("no more previews: {}", error.what()));
    failed_ = true;
    return false;
  }
}

Image Previews::picture_of(const Pipeline& pipeline, const Step& step, const Request& request) {
  const at::Tensor first = step.predicted.narrow(0, 0, 1);
  if (decodes_by_tiny_vae(pipeline)) return pipeline.decode(first, request).front();
  if (!colors_ || colors_of_ != pipeline.model().choice()) {
    colors_ = LatentColors::fit(pipeline, first.size(1));
    colors_of_ = pipeline.model().choice();
  }
  return enlarged(colors_->picture(first[0]), colors_->factor());
}

}  // namespace sdtorch
