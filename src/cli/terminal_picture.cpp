#include "cli/terminal_picture.hpp"

#include <chafa.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string_view>

namespace sdtorch {
namespace {

/// What chafa gives is given back to it.
template <auto Release>
struct Releaser {
  template <typename Object>
  void operator()(Object* object) const {
    Release(object);
  }
};
using TermDb = std::unique_ptr<ChafaTermDb, Releaser<chafa_term_db_unref>>;
using TermInfo = std::unique_ptr<ChafaTermInfo, Releaser<chafa_term_info_unref>>;
using CanvasConfig = std::unique_ptr<ChafaCanvasConfig, Releaser<chafa_canvas_config_unref>>;
using SymbolMap = std::unique_ptr<ChafaSymbolMap, Releaser<chafa_symbol_map_unref>>;
using Canvas = std::unique_ptr<ChafaCanvas, Releaser<chafa_canvas_unref>>;

constexpr int usual_cell_width = 8, usual_cell_height = 16;  // pixels, where the terminal does not tell

/// What the user says that it knows, too.
void add_usual_sequences(const TermInfo& info) {
  const TermDb known(chafa_term_db_new());
  const TermInfo usual(chafa_term_db_get_fallback_info(known.get()));
  chafa_term_info_supplement(info.get(), usual.get());
}

/// What the terminal knows by its environment.
TermInfo terminal_info(char** environment) {
  const TermDb known(chafa_term_db_new());
  TermInfo info(chafa_term_db_detect(known.get(), environment));
  bool by_name = false, by_program = false, is_xterm = false;
  for (char** entry = environment; *entry; ++entry) {
    const std::string_view said = *entry;
    by_name = by_name || said == "TERM=xterm-ghostty";
    by_program = by_program || said == "TERM_PROGRAM=ghostty";
    is_xterm = is_xterm || said.starts_with("TERM=xterm");  // and not what runs inside of it
  }
  // Younger than chafa's list: kitty's graphics and all colours.
  if (by_name || (by_program && is_xterm)) add_usual_sequences(info);
  return info;
}

bool knows(const TermInfo& info, ChafaTermSeq sequence) { return chafa_term_info_have_seq(info.get(), sequence) != 0; }

ShowAs best_for(const TermInfo& info) {
  if (knows(info, CHAFA_TERM_SEQ_BEGIN_KITTY_IMMEDIATE_IMAGE_V1)) return ShowAs::kitty;
  if (knows(info, CHAFA_TERM_SEQ_BEGIN_ITERM2_IMAGE)) return ShowAs::iterm;
  return knows(info, CHAFA_TERM_SEQ_BEGIN_SIXELS) ? ShowAs::sixel : ShowAs::blocks;
}

ChafaCanvasMode colors_of(const TermInfo& info) {
  if (knows(info, CHAFA_TERM_SEQ_SET_COLOR_FGBG_DIRECT)) return CHAFA_CANVAS_MODE_TRUECOLOR;
  if (knows(info, CHAFA_TERM_SEQ_SET_COLOR_FGBG_256)) return CHAFA_CANVAS_MODE_INDEXED_240;
  return knows(info, CHAFA_TERM_SEQ_SET_COLOR_FGBG_16) ? CHAFA_CANVAS_MODE_INDEXED_16 : CHAFA_CANVAS_MODE_FGBG;
}

ChafaPixelMode mode_of(ShowAs how) {
  switch (how) {
    case ShowAs::kitty:
      return CHAFA_PIXEL_MODE_KITTY;
    case ShowAs::iterm:
      return CHAFA_PIXEL_MODE_ITERM2;
    case ShowAs::sixel:
      return CHAFA_PIXEL_MODE_SIXELS;
    default:
      return CHAFA_PIXEL_MODE_SYMBOLS;
  }
}

/// In characters.
struct Cells {
  int width = 1, height = 1;
};

/// cell_width, cell_height: of a character, in the picture's pixels where it is not scaled.
Cells fitted(const Image& image, const TerminalSize& terminal, double cell_width, double cell_height) {
  const double columns = static_cast<double>(image.width) / cell_width;
  const double rows = static_cast<double>(image.height) / cell_height;
  const double scale = std::min({1.0, (terminal.columns - 1) / columns, (terminal.rows - 2) / rows});
  const auto cells = [&](double count) { return std::max(1, static_cast<int>(std::lround(count * scale))); };
  return {cells(columns), cells(rows)};
}

}  // namespace

TerminalSize terminal_size() {
  winsize size{};
  TerminalSize terminal;
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return terminal;
  terminal = {.columns = size.ws_col, .rows = size.ws_row, .width = size.ws_xpixel, .height = size.ws_ypixel};
  if (terminal.rows == 0) terminal.rows = TerminalSize().rows;
  return terminal;
}

TerminalPicture terminal_picture(const Image& image, ShowAs how, const TerminalSize& terminal, char** environment) {
  const TermInfo info = terminal_info(environment);
  const ChafaCanvasMode colors = colors_of(info);
  if (how == ShowAs::automatic) {
    how = best_for(info);
  } else {
    add_usual_sequences(info);
  }
  const bool told = terminal.width > 0 && terminal.height > 0;
  const int cell_width = told ? std::max(1, terminal.width / terminal.columns) : usual_cell_width;
  const int cell_height = told ? std::max(1, terminal.height / terminal.rows) : usual_cell_height;
  const bool blocks = how == ShowAs::blocks;
  const double tall = static_cast<double>(cell_height) / cell_width;
  const Cells cells = blocks ? fitted(image, terminal, 1, tall) : fitted(image, terminal, cell_width, cell_height);

  const CanvasConfig config(chafa_canvas_config_new());
  const SymbolMap symbols(chafa_symbol_map_new());
  chafa_symbol_map_add_by_tags(symbols.get(),
                               static_cast<ChafaSymbolTags>(CHAFA_SYMBOL_TAG_BLOCK | CHAFA_SYMBOL_TAG_SPACE));
  chafa_canvas_config_set_symbol_map(config.get(), symbols.get());
  chafa_canvas_config_set_pixel_mode(config.get(), mode_of(how));
  chafa_canvas_config_set_canvas_mode(config.get(), blocks ? colors : CHAFA_CANVAS_MODE_TRUECOLOR);
  chafa_canvas_config_set_geometry(config.get(), cells.width, cells.height);
  chafa_canvas_config_set_cell_geometry(config.get(), cell_width, cell_height);
  const Canvas canvas(chafa_canvas_new(config.get()));
  chafa_canvas_draw_all_pixels(canvas.get(), CHAFA_PIXEL_RGB8, image.pixels.data(), static_cast<int>(image.width),
                               static_cast<int>(image.height), static_cast<int>(3 * image.width));
  GString* const printed = chafa_canvas_print(canvas.get(), info.get());
  TerminalPicture picture{
      .text = std::string(printed->str, printed->len), .columns = cells.width, .rows = cells.height};
  g_string_free(printed, TRUE);
  while (picture.text.ends_with('\n')) picture.text.pop_back();
  return picture;
}

}  // namespace sdtorch
