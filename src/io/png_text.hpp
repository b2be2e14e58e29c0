// Text chunks of PNG files (W3C PNG, third edition, 11.3.3), written and read.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sdtorch {

using Bytes = std::vector<std::byte>;

struct PngText {
  std::string keyword{};  ///< 1…79 printable Latin-1 characters; ours are ASCII
  std::string text{};     ///< UTF-8, without NUL
};

/// `png` with the texts before its first IDAT chunk: tEXt where Latin-1 suffices, else uncompressed iTXt.
/// `png` is what an encoder made: its own chunks are trusted to be whole.
Bytes add_png_text(std::span<const std::byte> png, const std::vector<PngText>& texts);

/// Every text of a PNG, in file order: tEXt, zTXt and iTXt, as UTF-8. file: its name, for messages.
/// Throws ErrorKind::input naming the offset of a chunk that is cut short, whose CRC is wrong, that is not formed as
/// its type demands, or whose text unpacks to more than 16 MiB.
std::vector<PngText> read_png_text(std::span<const std::byte> png, const std::string& file);

/// The same of a file on disk.
std::vector<PngText> read_png_text(const std::filesystem::path& file);

/// Whether the file is a PNG that carries a text of that keyword; false for one that cannot be read, too.
bool carries_text(const std::filesystem::path& file, std::string_view keyword);

}  // namespace sdtorch
