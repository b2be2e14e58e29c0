// Finished pictures → PNG files that carry their request.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "jobs/output_names.hpp"
#include "jobs/output_options.hpp"
#include "sdtorch/pipeline.hpp"

namespace sdtorch {

/// Where the pictures of one run go. Two runs may write into one folder at once: a name is taken only by writing a
/// whole picture under it.
class PictureWriter {
 public:
  /// Makes the folder and finds the index after the highest in it, or checks the one output file's place.
  /// Throws ErrorKind::usage (--name) or ErrorKind::output.
  explicit PictureWriter(const OutputOptions& output);

  /// Writes a PNG with its metadata and returns its path: the one that --output names, replaced atomically, or the
  /// next free name in the folder: the next index, or, where the template has none, `-2`, `-3`… before `.png`.
  /// choice: what drew it.
  std::filesystem::path write(const Picture& picture, const ModelChoice& choice);

 private:
  std::filesystem::path write_next(const Picture& picture, const ModelChoice& choice, std::span<const std::byte> png);

  std::filesystem::path file_, folder_;
  NameTemplate names_;
  int64_t next_ = 0;
};

}  // namespace sdtorch
