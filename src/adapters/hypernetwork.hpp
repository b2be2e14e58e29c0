// Hypernetworks' files, as A1111 writes them: a dict that has a pair of state dicts, for keys and for values, under
// each width, and beside them how their layers follow one another.
#pragma once

#include <filesystem>
#include <memory>

#include "networks/hypernetwork.hpp"

namespace sdtorch {

/// Keys that old files do not have are as A1111 takes them then. Dropout, which does nothing when pictures are drawn,
/// counts among the layers' numbers.
/// Throws ErrorKind::model naming file and key: what is no hypernetwork, layers that are missing, misshapen or too
/// many, values that say no layers, activations that no such network can have.
std::shared_ptr<const Hypernetwork> load_hypernetwork(const std::filesystem::path& file);

}  // namespace sdtorch
