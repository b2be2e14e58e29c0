// A folder's pictures as one page.
#pragma once

#include <cstddef>
#include <filesystem>

namespace sdtorch {

struct GalleryOptions {
  std::filesystem::path folder{};  ///< whose pictures are shown, PNG, JPEG and WebP; empty is the current one
  std::filesystem::path page{};    ///< .html file; empty: gallery.html in the folder
  bool may_be_empty = false;       ///< false: a folder without pictures is refused
};

/// Where the page goes.
std::filesystem::path gallery_page(const GalleryOptions& options);

/// Before anything is drawn: whether the page can go there. Throws ErrorKind::usage for a name that is no page's,
/// ErrorKind::output where it cannot be written, or holds another file than a page of ours.
void check_gallery_page(const GalleryOptions& options);

/// Writes one HTML file that needs nothing else, from a web server or from disk, and returns its path: every picture of
/// the folder (not of those in it) in the order of their names, small, inside the page; behind a click its prompt,
/// negative prompt and parameters, and a link, relative to the page, to the file itself. Previews are left out; a
/// picture that cannot be read is named with the reason, with a warning. Pictures are 512 pixels a side where there are
/// up to 200, 256 up to 5000, else 128. Without scripts all of it is there but the field that filters by words; the
/// page's policy lets nothing in it run or load but its own script and style, whose hashes it names.
///
/// Memory does not grow with the number of pictures. The page is replaced atomically if it is one of ours.
/// Throws ErrorKind::input where the folder is none or has no pictures, ErrorKind::output for the page: another file is
/// there.
std::filesystem::path write_gallery(const GalleryOptions& options);

}  // namespace sdtorch
