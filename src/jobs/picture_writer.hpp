// Finished pictures → PNG files that carry their request.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <future>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "jobs/output_names.hpp"
#include "jobs/output_options.hpp"
#include "sdtorch/pipeline.hpp"

namespace sdtorch {

/// The picture's file: made in a thread of its own where cores are idle while networks compute, else once it is asked
/// for. choice: what drew it; must outlive it.
std::future<std::vector<std::byte>> png_of(Picture picture, const ModelChoice& choice);

/// A picture that is complete on disk.
struct WrittenPicture {
  std::filesystem::path path{};
  std::string sha256{};  ///< of the file
  uint64_t bytes = 0;    ///< of the file
};

/// Where the pictures of one run go. Two runs may write into one folder at once: a name is taken only by writing a
/// whole picture under it.
class PictureWriter {
 public:
  /// Makes the folder, or checks the one output file's place. first_index: of the run's picture 0; none is one above
  /// the highest in the folder, and counts on past what others write meanwhile. planned: of pictures by number
  /// (RunPlan::names). Throws ErrorKind::usage (--name) or
  /// ErrorKind::output.
  explicit PictureWriter(const OutputOptions& output, std::optional<int64_t> first_index = std::nullopt,
                         std::vector<PictureNames> planned = {});

  /// Writes a PNG with its metadata: under the name that --output gives, replaced atomically, or under a free name in
  /// the folder, `-2`, `-3`… before `.png` where the template's is taken. choice: what drew it; number: the picture's
  /// in the run; png: the file's bytes, where they are made already.
  WrittenPicture write(const Picture& picture, const ModelChoice& choice, int64_t number,
                       std::span<const std::byte> png = {});

 private:
  std::filesystem::path write_new(const Picture& picture, const ModelChoice& choice, int64_t number,
                                  std::span<const std::byte> png);

  std::filesystem::path file_, folder_;
  NameTemplate names_;
  std::optional<int64_t> first_index_{};
  std::vector<PictureNames> planned_{};
  int64_t next_ = 0;  ///< index, where no first one is given
};

}  // namespace sdtorch
