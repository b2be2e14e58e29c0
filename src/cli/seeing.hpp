// How a run's pictures are seen: in the terminal, on one sheet, on a page.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <vector>

#include "cli/flags.hpp"
#include "cli/terminal_picture.hpp"
#include "jobs/contact_sheet.hpp"
#include "jobs/gallery.hpp"
#include "jobs/output_options.hpp"

namespace sdtorch {

class ConsoleReporter;

struct SeeingOptions {
  std::optional<ShowAs> show{};                 ///< draw pictures in the terminal
  std::optional<std::filesystem::path> grid{};  ///< a contact sheet's file; empty is the usual one
  std::optional<GalleryOptions> gallery{};      ///< a page at the end
};

/// --preview-every, --preview, --show, --grid and --html. They write into both, which must live as long.
std::vector<Flag> seeing_flags(SeeingOptions& seeing, OutputOptions& output);

/// `sdtorch gallery`. general: what every command has.
CommandSpec gallery_spec(GalleryOptions& options, FlagGroup general);

/// What those flags say, against each other: no two of a run's files are one. Throws ErrorKind::usage.
void check_seeing(const SeeingOptions& seeing, const OutputOptions& output);

/// Whether sheet and page can go where they are to, before a run of so many pictures. Throws as check_grid and
/// check_gallery_page.
void check_pages(const SeeingOptions& seeing, const OutputOptions& output, size_t pictures);

/// Writes them after it.
void write_pages(const SeeingOptions& seeing, const OutputOptions& output, const ContactSheet& sheet,
                 ConsoleReporter& reporter);

}  // namespace sdtorch
