#include "cli/seeing.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string>

#include "cli/report.hpp"
#include "core/error.hpp"
#include "core/number.hpp"
#include "core/suggest.hpp"
#include "jobs/output_folder.hpp"
#include "jobs/previews.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;

void check_is_png(const char* flag, const fs::path& file) {
  if (file.empty() || ascii_lower(file.extension().string()) == ".png") return;
  refuse(flag, fmt::format("'{}' does not end in .png", file.string()), "pictures are PNG files");
}

fs::path named(const std::string& flag, const std::string& text) {
  if (text.empty()) refuse(flag, "is empty");
  return text;
}

ShowAs show_as(const std::string& flag, const std::string& text) {
  const std::vector<std::string> names(show_names.begin(), show_names.end());
  const std::string name = text.empty() ? names.front() : ascii_lower(text);
  check_choice(flag, name, names);
  return static_cast<ShowAs>(std::ranges::find(names, name) - names.begin());
}

fs::path grid_file(const SeeingOptions& seeing, const OutputOptions& output) {
  return seeing.grid->empty() ? usual_grid_file(output) : *seeing.grid;
}

/// Of the folder that the run's pictures are in.
GalleryOptions gallery_of(const SeeingOptions& seeing, const OutputOptions& output) {
  GalleryOptions options = *seeing.gallery;
  options.folder = output.output.empty() ? output.outdir : output.output.parent_path();
  options.may_be_empty = true;
  return options;
}

}  // namespace

std::vector<Flag> seeing_flags(SeeingOptions& seeing, OutputOptions& output) {
  return {{"--preview-every", "N",
           "after every N steps show the picture as it is so far, of a batch the first, in --preview's file, which "
           "stays",
           [&output](const std::string& flag, const std::string& text) {
             const auto number = parse_int(text);
             if (!number || *number < 1) refuse(flag, fmt::format("must be a whole number from 1 on, is '{}'", text));
             output.preview_every = *number;
           }},
          {"--preview", "FILE.png", "that file (preview.png beside the pictures)",
           [&output](const std::string& flag, const std::string& text) { output.preview = named(flag, text); }},
          {"--show", "[NAME]",
           fmt::format("draw each picture in the terminal, on stderr: {} (auto: by TERM and the like)",
                       fmt::join(show_names, ", ")),
           [&seeing](const std::string& flag, const std::string& text) { seeing.show = show_as(flag, text); }},
          {"--grid", "[FILE.png]",
           fmt::format("all pictures of the run, up to {}, on one sheet, each with what differs (grid.png beside them)",
                       ContactSheet::most_pictures),
           [&seeing](const std::string&, const std::string& text) { seeing.grid = text; }},
          {"--html", "[FILE.html]",
           "a page of all pictures in the folder, with prompts and parameters (gallery.html in it); without a prompt "
           "the page alone",
           [&seeing](const std::string&, const std::string& text) { seeing.gallery = GalleryOptions{.page = text}; }}};
}

CommandSpec gallery_spec(GalleryOptions& options, FlagGroup general) {
  return {"sdtorch gallery DIR [-o FILE.html]",
          "Writes one page of a folder's pictures, with their prompts and parameters, that needs no other file.",
          {{"Arguments",
            {{"DIR", "", "the folder; those in it are left out",
              [&options](const std::string& flag, const std::string& text) { options.folder = named(flag, text); }}}},
           {"Output",
            {{"-o, --output", "FILE.html", "the page (gallery.html in the folder)",
              [&options](const std::string& flag, const std::string& text) { options.page = named(flag, text); }}}},
           std::move(general)},
          ""};
}

void check_seeing(const SeeingOptions& seeing, const OutputOptions& output) {
  if (!output.preview.empty() && output.preview_every == 0) {
    refuse("--preview", "no preview is asked for", "add --preview-every N");
  }
  check_is_png("--preview", output.preview);
  if (seeing.grid) check_is_png("--grid", *seeing.grid);
  const auto place = [](const fs::path& file) {
    std::error_code ignored;
    return file.empty() ? file : fs::weakly_canonical(fs::absolute(file, ignored), ignored);
  };
  const fs::path preview = output.preview_every > 0 ? place(preview_file(output)) : fs::path();
  const fs::path picture = place(output.output), grid = seeing.grid ? place(grid_file(seeing, output)) : fs::path();
  if (!preview.empty() && preview == picture) {
    refuse("--preview", "is the picture's own file", "name another by --preview FILE.png");
  }
  if (!grid.empty() && (grid == picture || grid == preview)) {
    refuse("--grid", "is another picture's file", "name another by --grid FILE.png");
  }
}

void check_pages(const SeeingOptions& seeing, const OutputOptions& output, size_t pictures) {
  if (seeing.grid) check_grid(pictures, *seeing.grid);
  if (seeing.gallery) check_gallery_page(gallery_of(seeing, output));
}

void write_pages(const SeeingOptions& seeing, const OutputOptions& output, const ContactSheet& sheet,
                 ConsoleReporter& reporter) {
  if (seeing.grid && sheet.size() > 0) {
    reporter.on_page(sheet.save(grid_file(seeing, output), seeing.grid->empty()));
  }
  if (seeing.gallery) reporter.on_page(write_gallery(gallery_of(seeing, output)));
}

}  // namespace sdtorch
