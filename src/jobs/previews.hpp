// `--preview-every`: the picture while it is drawn.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "jobs/output_options.hpp"
#include "pipeline/latent_colors.hpp"
#include "sdtorch/pipeline.hpp"

namespace sdtorch {

/// Where previews go: the file that --preview names, else preview.png with the run's pictures.
std::filesystem::path preview_file(const OutputOptions& output);

/// Whether a file is a preview that some run left, by what it carries.
bool is_preview(const std::filesystem::path& file);

/// Before anything is drawn: whether previews can go there. Throws ErrorKind::output where that is no place for a file,
/// or holds one that is no preview: no picture is lost to it.
void check_previews(const OutputOptions& output);

/// Writes one file again and again, atomically, so that whatever shows it never meets half a picture; the last one
/// stays. What is shown is the x0 that a step predicts of its batch's first picture: by the tiny autoencoder where the
/// pipeline decodes by one, else by its latent's colours (LatentColors), found once a model by decoding a small latent.
/// No picture is drawn otherwise for being watched.
class Previews {
 public:
  /// every: steps from one to the next, at least 1.
  Previews(std::filesystem::path file, int64_t every);

  /// Writes the step's, if it is one's turn, and returns whether it did. A preview that fails, for whatever reason but
  /// an interrupt, ends them with a warning, and not the run.
  bool add(const Pipeline& pipeline, const Step& step, const Request& request);

  const std::filesystem::path& file() const { return file_; }

 private:
  Image picture_of(const Pipeline& pipeline, const Step& step, const Request& request);

  std::filesystem::path file_;
  int64_t every_;
  bool failed_ = false;
  std::optional<LatentColors> colors_{};
  ModelChoice colors_of_{};  // what they were found with
};

}  // namespace sdtorch
