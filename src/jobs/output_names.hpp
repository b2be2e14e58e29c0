// Names of pictures in an output folder: `{index:05}-{seed}-{slug}.png`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/output_options.hpp"
#include "sdtorch/pipeline.hpp"

namespace sdtorch {

inline constexpr std::string_view default_name_template = "{index:05}-{seed}-{slug}.png";

/// Letters, digits and marks of any script in lower case, `-` for each run of others: no more than `most_bytes` of
/// UTF-8, cut at a character, at a word where there is one; `image` where nothing remains.
std::string slug(std::string_view text, size_t most_bytes = 48);

/// Whether a file's name ends in .png, in any case.
bool is_picture_name(std::string_view file_name);

/// What --name says, or the default.
std::string_view name_template_of(const OutputOptions& output);

/// A file's name, and another one of it: `a.png`, `a-2.png`, `a-3.png`… for attempts 1, 2, 3…
std::string numbered(const std::string& name, int64_t attempt);

/// Which attempt of `name` another name is; none: it is none of them.
std::optional<int64_t> attempt_of(std::string_view numbered, std::string_view name);

/// The names that a picture takes in turn until one is free.
struct PictureNames {
  std::string first{};  ///< an attempt of what the template makes; empty: the first one
  int64_t stride = 1;   ///< from one attempt to the next
};

/// Longer names leave no room for an attempt's number where file systems take 255 bytes.
inline constexpr size_t longest_name = 247;

/// A template of file names, read. Literal text, `{{` and `}}` for braces, and the fields index, seed, steps, width,
/// height (`{index:05}`: at least 5 digits), cfg, sampler, model and slug (the prompt's).
class NameTemplate {
 public:
  /// Throws ErrorKind::usage naming --name: an unknown field with the nearest, a folder in the name, another ending
  /// than .png, what is no UTF-8 or would break a line.
  explicit NameTemplate(std::string_view text);

  /// picture: all but its pixels.
  std::string fill(int64_t index, const Picture& picture, const ModelChoice& choice) const;

  bool has_index() const;

  /// Whether index_in finds it in names.
  bool tells_index() const;

  /// The index in a file name, if the name starts with the template's text before {index} and digits after it.
  /// None where another field comes before {index}, or a field or a digit right behind it.
  std::optional<int64_t> index_in(std::string_view file_name) const;

 private:
  struct Part {
    std::string literal{};  ///< text as it is, where `field` is empty
    std::string field{};
    int digits = 0;  ///< at least so many
  };

  std::vector<Part> parts_;
};

}  // namespace sdtorch
