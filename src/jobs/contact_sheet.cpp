#include "jobs/contact_sheet.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "core/error.hpp"
#include "core/log.hpp"
#include "io/atomic_file.hpp"
#include "io/font.hpp"
#include "io/image.hpp"
#include "io/json.hpp"
#include "io/read_picture.hpp"
#include "io/resize.hpp"
#include "jobs/output_folder.hpp"
#include "jobs/sheet_layout.hpp"

namespace sdtorch {
namespace {

constexpr const char* sheet_keyword = "sdtorch-grid";

namespace fs = std::filesystem;

constexpr double font_pixels = 15;
constexpr int64_t gap = 8;          // pixels between cells and around the sheet
constexpr int64_t narrowest = 128;  // of a cell: room for a label
constexpr int64_t widest_picture = 512;
constexpr int64_t most_side = 8192;   // of the sheet
constexpr double most_pixels = 48e6;  // likewise
constexpr size_t label_lines = 3;

/// What a picture's file says before its pixels are looked at.
struct Entry {
  int64_t index = 0;  ///< in the run
  fs::path file{};
  nlohmann::json request{};       ///< null where the file says none
  int64_t width = 0, height = 0;  ///< 0 where it cannot be read
};

Entry read_entry(int64_t index, const fs::path& file) {
  Entry entry{.index = index, .file = file};
  if (file.empty()) return entry;
  try {
    const InputPicture picture = read_picture(file);
    entry.width = picture.image.width;
    entry.height = picture.image.height;
    for (const PngText& text : read_png_text(file)) {
      if (text.keyword == "sdtorch") entry.request = parse_json(text.text, file.string(), ErrorKind::input);
    }
  } catch (const Error& error) {
    log_warning(fmt::format("--grid: {}", error.what()));
  }
  return entry;
}

/// Sizes of everything on the sheet, in pixels.
struct Layout {
  int64_t columns = 1, rows = 1;
  int64_t cell_width = 0;                         ///< of a picture and its label
  int64_t picture_width = 0, picture_height = 0;  ///< the box that each picture is put into
  int64_t label_height = 0;

  int64_t cell_height() const { return picture_height + label_height; }
  int64_t width() const { return gap + columns * (cell_width + gap); }
  int64_t height() const { return gap + rows * (cell_height() + gap); }
};

Layout lay_out(const std::vector<Entry>& entries, const PictureRequests& requests, const Font& font) {
  int64_t widest = 1, tallest = 1;
  for (const Entry& entry : entries) {
    widest = std::max(widest, entry.width);
    tallest = std::max(tallest, entry.height);
  }
  const auto count = static_cast<int64_t>(entries.size());
  const auto label_height = static_cast<int64_t>(label_lines) * font.line_height() + gap / 2;
  const auto at = [&](double scale) {
    Layout layout{.label_height = label_height};
    layout.picture_width = std::max<int64_t>(1, std::lround(static_cast<double>(widest) * scale));
    layout.picture_height = std::max<int64_t>(1, std::lround(static_cast<double>(tallest) * scale));
    layout.cell_width = std::max(layout.picture_width, narrowest);
    const auto most = static_cast<size_t>(std::max<int64_t>(1, (most_side - gap) / (layout.cell_width + gap)));
    layout.columns = static_cast<int64_t>(columns_for(requests, static_cast<double>(layout.cell_width + gap),
                                                      static_cast<double>(layout.cell_height() + gap), most));
    layout.rows = (count + layout.columns - 1) / layout.columns;
    return layout;
  };
  double scale = std::min(1.0, static_cast<double>(widest_picture) / static_cast<double>(std::max(widest, tallest)));
  Layout layout = at(scale);
  const auto too_large = [&] {
    return layout.height() > most_side || static_cast<double>(layout.width() * layout.height()) > most_pixels;
  };
  while (too_large() && layout.picture_width > 8 && layout.picture_height > 8) layout = at(scale *= 0.9);
  return layout;
}

void paste(Image& sheet, const Image& picture, int64_t left, int64_t top) {
  const size_t row_bytes = static_cast<size_t>(3 * picture.width);
  for (int64_t row = 0; row < picture.height; ++row) {
    const auto from = picture.pixels.begin() + row * 3 * picture.width;
    std::copy_n(from, row_bytes, sheet.pixels.begin() + 3 * ((top + row) * sheet.width + left));
  }
}

/// The picture, made to fit the box; nothing where it cannot be read any more.
std::optional<Image> fitted(const Entry& entry, const Layout& layout) {
  if (entry.width == 0) return std::nullopt;
  try {
    Image picture = compose_on_white(read_picture(entry.file));
    const double scale = std::min({1.0, static_cast<double>(layout.picture_width) / static_cast<double>(picture.width),
                                   static_cast<double>(layout.picture_height) / static_cast<double>(picture.height)});
    if (scale == 1) return picture;
    const auto scaled = [&](int64_t side, int64_t most) {
      return std::clamp<int64_t>(std::lround(static_cast<double>(side) * scale), 1, most);
    };
    return resize(picture, scaled(picture.width, layout.picture_width), scaled(picture.height, layout.picture_height));
  } catch (const Error& error) {
    log_warning(fmt::format("--grid: {}", error.what()));
    return std::nullopt;
  }
}

Bytes draw_sheet(const std::vector<Entry>& entries, const Font& font) {
  PictureRequests requests;
  for (const Entry& entry : entries) requests.push_back(entry.request);
  const std::vector<std::string> labels = differences(requests);
  const Layout layout = lay_out(entries, requests, font);
  Image sheet{.width = layout.width(),
              .height = layout.height(),
              .pixels = std::vector<uint8_t>(static_cast<size_t>(3 * layout.width() * layout.height()), 255)};
  for (size_t i = 0; i < entries.size(); ++i) {
    const auto column = static_cast<int64_t>(i) % layout.columns, row = static_cast<int64_t>(i) / layout.columns;
    const int64_t left = gap + column * (layout.cell_width + gap), top = gap + row * (layout.cell_height() + gap);
    const std::optional<Image> picture = fitted(entries[i], layout);
    if (picture) {
      paste(sheet, *picture, left + (layout.cell_width - picture->width) / 2,
            top + layout.picture_height - picture->height);
    }
    int64_t line_top = top + layout.picture_height + gap / 2;
    std::string label = picture ? labels[i] : "not drawn";
    if (!font.holds(label)) label = fmt::format("{}: {}", entries[i].index, label);  // its number tells it, then
    for (const std::string& line : font.wrap(label, layout.cell_width, label_lines)) {
      font.draw(sheet, left + (layout.cell_width - font.width(line)) / 2, line_top, line, picture ? 32 : 128);
      line_top += font.line_height();
    }
  }
  const nlohmann::ordered_json told = {
      {"pictures", entries.size()}, {"columns", layout.columns}, {"rows", layout.rows}};
  return encode_png(sheet, {{sheet_keyword, told.dump()}});
}

[[noreturn]] void refuse_many(size_t pictures) {
  refuse("--grid",
         fmt::format("{} pictures are more than the {} that a sheet holds", pictures, ContactSheet::most_pictures),
         "--html makes a page of any number");
}

void check_free_for_sheet(const fs::path& file) {
  check_free_or_own(file, sheet_keyword, "sheet of pictures", "--grid");
}

}  // namespace

fs::path usual_grid_file(const OutputOptions& output) {
  return (output.output.empty() ? output.outdir : output.output.parent_path()) / "grid.png";
}

void check_grid(size_t pictures, const fs::path& file) {
  if (pictures > ContactSheet::most_pictures) refuse_many(pictures);
  if (!file.empty()) {
    check_file(file);
    check_free_for_sheet(file);
  }
  Font(font_file(), font_pixels);
}

bool is_contact_sheet(const fs::path& file) { return carries_text(file, sheet_keyword); }

fs::path ContactSheet::save(const fs::path& file, bool keep) const {
  if (pictures_.size() > most_pictures) refuse_many(pictures_.size());
  std::vector<Entry> entries;
  for (const auto& [index, picture] : pictures_) entries.push_back(read_entry(index, picture));
  const Bytes png = draw_sheet(entries, Font(font_file(), font_pixels));
  if (!keep) {
    check_free_for_sheet(file);  // it may have become a picture's meanwhile
    write_file_atomically(file, png);
    return file;
  }
  for (int attempt = 1;; ++attempt) {
    const fs::path name = attempt == 1 ? file
                                       : file.parent_path() / fmt::format("{}-{}{}", file.stem().string(), attempt,
                                                                          file.extension().string());
    AtomicFile sheet(name);
    sheet.write(png);
    if (sheet.commit_new()) return name;
  }
}

}  // namespace sdtorch
