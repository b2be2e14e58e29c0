// Finished pictures → PNG files that carry their request.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "io/image.hpp"
#include "jobs/output_names.hpp"
#include "jobs/output_options.hpp"
#include "pipeline/request.hpp"

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
  /// picture: its own request (Request::image), with size and sampler filled in; repeat, notes: as in picture_metadata.
  std::filesystem::path write(const Image& image, const Request& picture, const Request& repeat,
                              const std::vector<std::string>& notes = {});

 private:
  std::filesystem::path write_next(const Request& picture, std::span<const std::byte> png);

  std::filesystem::path file_, folder_;
  NameTemplate names_;
  int64_t next_ = 0;
};

}  // namespace sdtorch
