#include "jobs/gallery.hpp"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "core/interrupt.hpp"
#include "core/log.hpp"
#include "core/suggest.hpp"
#include "io/atomic_file.hpp"
#include "io/base64.hpp"
#include "io/mapped_file.hpp"
#include "io/read_picture.hpp"
#include "io/resize.hpp"
#include "io/webp.hpp"
#include "jobs/contact_sheet.hpp"
#include "jobs/gallery_page.hpp"
#include "jobs/output_folder.hpp"
#include "jobs/previews.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;

constexpr float small_quality = 80;  // of WebP's lossy coder
constexpr int64_t at_once = 32;      // pictures that are made small side by side

bool is_picture_name(const fs::path& file) {
  const std::string ending = ascii_lower(file.extension().string());
  const std::string name = file.filename().string();
  return !name.starts_with('.') && (ending == ".png" || ending == ".jpg" || ending == ".jpeg" || ending == ".webp");
}

std::vector<fs::path> pictures_in(const fs::path& folder) {
  std::vector<fs::path> pictures;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    std::error_code ignored;
    if (is_picture_name(entry->path()) && fs::is_regular_file(entry->path(), ignored))
      pictures.push_back(entry->path());
  }
  if (error) fail(ErrorKind::input, folder, {}, fmt::format("cannot be listed: {}", error.message()));
  std::ranges::sort(pictures);
  return pictures;
}

int64_t small_side(size_t pictures) {
  constexpr size_t few = 200, many = 5000;
  return pictures <= few ? 512 : pictures <= many ? 256 : 128;
}

Image made_small(Image picture, int64_t side) {
  const int64_t longest = std::max(picture.width, picture.height);
  if (longest <= side) return picture;
  const auto scaled = [&](int64_t length) {
    return std::max<int64_t>(1, std::lround(static_cast<double>(length * side) / static_cast<double>(longest)));
  };
  return resize(picture, scaled(picture.width), scaled(picture.height));
}

/// Reads a picture and makes it small; what is wrong with it becomes its problem.
GalleryEntry entry_of(const fs::path& file, const fs::path& page_folder, int64_t side) {
  GalleryEntry entry{.name = file.filename().string()};
  std::error_code error;
  const fs::path link = fs::proximate(file, page_folder, error);
  entry.link = (error ? file.filename() : link).string();
  try {
    const MappedFile mapped(file, ErrorKind::input);
    const Image picture = compose_on_white(read_picture(mapped.bytes(), file.string()));
    entry.width = picture.width;
    entry.height = picture.height;
    const Image small = made_small(picture, side);
    entry.small_width = small.width;
    entry.small_height = small.height;
    entry.small = base64(encode_webp(small, small_quality));
    if (ascii_lower(file.extension().string()) == ".png") {
      entry.facts = picture_facts(read_png_text(mapped.bytes(), file.string()));
    }
  } catch (const Error& problem) {
    entry.problem = problem.parts().reason;
    if (entry.problem.empty()) entry.problem = problem.what();
  }
  return entry;
}

std::string folder_name(const fs::path& folder) {
  const fs::path whole = fs::weakly_canonical(folder);
  return (whole.has_filename() ? whole : whole.parent_path()).filename().string();
}

}  // namespace

fs::path gallery_page(const GalleryOptions& options) {
  return options.page.empty() ? options.folder / "gallery.html" : options.page;
}

void check_gallery_page(const GalleryOptions& options) {
  const fs::path page = gallery_page(options);
  const std::string ending = ascii_lower(page.extension().string());
  if (ending != ".html" && ending != ".htm") {
    refuse("--html", fmt::format("'{}' does not end in .html", page.string()), "a gallery is a page");
  }
  if (options.page.empty()) {
    check_folder(options.folder);  // which a run makes
  } else {
    check_file(page);
  }
  std::ifstream stream(page, std::ios::binary);
  if (!stream) return;
  std::string begin(gallery_begin().size(), '\0');
  stream.read(begin.data(), static_cast<std::streamsize>(begin.size()));
  if (stream.gcount() == 0 || begin == gallery_begin()) return;
  fail(ErrorKind::output, page, {}, "is there already, and no gallery of sdtorch's", "choose another name");
}

fs::path write_gallery(const GalleryOptions& options) {
  const fs::path folder = options.folder.empty() ? fs::path(".") : options.folder;
  const fs::path page = gallery_page(options);
  if (!fs::is_directory(folder)) fail(ErrorKind::input, folder, {}, "is no folder");
  std::vector<fs::path> files = pictures_in(folder);
  if (files.empty() && !options.may_be_empty) {
    fail(ErrorKind::input, folder, {}, "has no pictures", "PNG, JPEG and WebP files are shown, those in it alone");
  }
  check_gallery_page(options);
  const fs::path page_folder = page.has_parent_path() ? page.parent_path() : fs::path(".");
  const int64_t side = small_side(files.size());
  std::erase_if(files, [](const fs::path& file) { return is_preview(file) || is_contact_sheet(file); });
  AtomicFile out(page);
  out.write(gallery_head(folder_name(folder), files.size()));
  const auto count = static_cast<int64_t>(files.size());
  for (int64_t first = 0; first < count; first += at_once) {
    throw_if_interrupted();
    std::vector<GalleryEntry> entries(static_cast<size_t>(std::min(at_once, count - first)));
    at::parallel_for(0, std::ssize(entries), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        entries[static_cast<size_t>(i)] = entry_of(files[static_cast<size_t>(first + i)], page_folder, side);
      }
    });
    for (const GalleryEntry& entry : entries) {
      if (!entry.problem.empty()) log_warning(fmt::format("{}: {}", (folder / entry.name).string(), entry.problem));
      out.write(gallery_entry(entry));
    }
  }
  out.write(gallery_foot());
  out.commit();
  return page;
}

}  // namespace sdtorch
