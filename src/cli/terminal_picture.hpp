// `--show`: pictures in the terminal.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "sdtorch/image.hpp"

namespace sdtorch {

/// How a terminal is made to show a picture.
enum class ShowAs {
  automatic,  ///< the best that the environment (TERM, TERM_PROGRAM, …) says that the terminal knows, else blocks
  kitty,
  iterm,
  sixel,
  blocks  ///< coloured characters, as many colours as the environment says
};

/// Their names, in their order.
inline constexpr std::array<std::string_view, 5> show_names = {"auto", "kitty", "iterm", "sixel", "blocks"};

/// A terminal's size; pixels are 0 where it does not tell them.
struct TerminalSize {
  int columns = 80, rows = 24;
  int width = 0, height = 0;  ///< pixels
};

/// That of stderr's terminal; 80 by 24 where there is none.
TerminalSize terminal_size();

/// What shows the picture, without a line's end behind it, and how many lines it takes.
struct TerminalPicture {
  std::string text{};
  int columns = 0, rows = 0;
};

/// Fits the picture into the terminal, one line and one column left free; it is not shown larger than it is (a block is
/// a pixel wide and two high). environment: as `environ`, for what the terminal knows.
TerminalPicture terminal_picture(const Image& image, ShowAs how, const TerminalSize& terminal, char** environment);

}  // namespace sdtorch
