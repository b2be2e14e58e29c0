// Where the files that belong to the program lie, and what is at a path.
#pragma once

#include <filesystem>

namespace sdtorch {

/// `share/sdtorch` in the library's folder or one of the two above it, else `<the executable's
/// folder>/../share/sdtorch`, symbolic links followed: the same in a build folder, in an installed tree and after that
/// tree has been moved. Holds `models/` (the built-in model in `models/demo`), `clip/` (`vocab.json`, `merges.txt`) and
/// `fonts/` (`DejaVuSans.ttf`).
/// Not checked to exist. Throws a bug where the system does not tell the executable's path.
std::filesystem::path share_folder();

/// Whether there is anything, or a folder, at the path, links followed. What cannot be looked at (no permission, a name
/// too long, a link to itself) is not there.
bool is_there(const std::filesystem::path& path);
bool is_folder(const std::filesystem::path& path);

}  // namespace sdtorch
