// The text of a gallery: HTML that shows whatever pictures carry, and does nothing that they say.
#pragma once

#include <string>
#include <string_view>

#include "jobs/picture_facts.hpp"

namespace sdtorch {

/// One picture on the page.
struct GalleryEntry {
  std::string name{};     ///< of its file
  std::string link{};     ///< to its file, relative to the page, not yet escaped
  std::string problem{};  ///< why it cannot be shown; empty: it can
  std::string small{};    ///< WebP in base 64
  int64_t small_width = 0, small_height = 0, width = 0, height = 0;  ///< pixels of it and of the file
  PictureFacts facts{};
};

/// What begins every page of ours.
std::string_view gallery_begin();

/// The page up to its first picture. title: plain text; pictures: how many follow.
std::string gallery_head(std::string_view title, size_t pictures);
std::string gallery_entry(const GalleryEntry& entry);
std::string gallery_foot();

/// Plain text as HTML: what is markup is escaped, in attributes in quotes, too; what cannot be shown is `?`.
std::string html_text(std::string_view text);

/// A path as a link: all but unreserved characters and slashes percent-encoded (RFC 3986), so that it names no scheme,
/// query or host.
std::string link_text(const std::string& path);

}  // namespace sdtorch
