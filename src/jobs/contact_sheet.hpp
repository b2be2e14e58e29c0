// `--grid`: a run's pictures on one sheet, each with what tells it from the others.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>

#include "jobs/output_options.hpp"

namespace sdtorch {

/// Where `--grid` without a name puts the sheet: grid.png with the run's pictures.
std::filesystem::path usual_grid_file(const OutputOptions& output);

/// Before anything is drawn: whether a sheet of so many pictures can be, and be at `file` (empty: at usual_grid_file,
/// which is left as it is). Throws ErrorKind::usage naming --grid, ErrorKind::output where the font for its labels is
/// not there, or something that is no sheet stands at `file`.
void check_grid(size_t pictures, const std::filesystem::path& file);

/// Whether a file is one that ContactSheet has made.
bool is_contact_sheet(const std::filesystem::path& file);

/// Pictures' files, which are read when the sheet is made, one after another, from what they carry themselves: what
/// lies in memory is the sheet, of 48 megapixels at most.
class ContactSheet {
 public:
  static constexpr size_t most_pictures = 1000;

  /// A picture of the run; index: its place among them. Any order.
  void add(int64_t index, std::filesystem::path picture) { pictures_[index] = std::move(picture); }

  /// One that could not be drawn: its place stays empty.
  void add_failed(int64_t index) { pictures_[index].clear(); }

  size_t size() const { return pictures_.size(); }

  /// Writes the sheet as PNG, atomically: on white, rows and columns as columns_for says, each picture above its label
  /// (differences; behind its index where the font lacks a character) and scaled down where they are many. Its
  /// `sdtorch-grid` text says how many pictures, columns and rows there are. keep: what is at `file` stays, and the
  /// sheet takes the next free name, `grid-2.png`; else an earlier sheet is replaced. Returns the name. Pictures that
  /// cannot be read stay empty, with a warning. Throws ErrorKind::output, and ErrorKind::usage where there are too
  /// many.
  std::filesystem::path save(const std::filesystem::path& file, bool keep) const;

 private:
  std::map<int64_t, std::filesystem::path> pictures_{};
};

}  // namespace sdtorch
