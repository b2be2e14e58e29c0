// Folders that pictures go to: made, or checked without a trace.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/output_names.hpp"

namespace sdtorch {

/// Makes a folder and those above it, if missing; empty is the current one. Throws ErrorKind::output where that fails
/// or files cannot be made in it.
void make_folder(const std::filesystem::path& folder);

/// Whether files could be made in `folder`, or in the folder above it that is there if it is still to be made.
/// Writes nothing. Throws ErrorKind::output saying why not.
void check_folder(const std::filesystem::path& folder);

/// Whether `file` could be written: its folder is there and can be written to, and it is no folder itself.
/// Writes nothing. Throws ErrorKind::output.
void check_file(const std::filesystem::path& file);

/// Whether `file` may be replaced: nothing is there, or a PNG of ours with that text in it. what: such a PNG, flag:
/// what names it, for messages. Throws ErrorKind::output.
void check_free_or_own(const std::filesystem::path& file, std::string_view keyword, std::string_view what,
                       std::string_view flag);

/// The names in a folder, sorted; empty is the current one. Throws ErrorKind::output.
std::vector<std::string> file_names(const std::filesystem::path& folder);

/// One above the highest index among the folder's names; 0 where there is none.
int64_t next_index(const std::filesystem::path& folder, const NameTemplate& names);

}  // namespace sdtorch
