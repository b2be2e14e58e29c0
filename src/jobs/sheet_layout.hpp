// How the pictures of a run differ, and in which rows and columns that is seen best.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace sdtorch {

/// Pictures' requests as their metadata has them, in their order: objects under the flags' long names. A null stands
/// for a picture that is not there: it fits everywhere.
using PictureRequests = std::vector<nlohmann::json>;

/// What tells each picture from the others: the prompt where it differs, then `cfg-scale 5, sampler euler` for what
/// else does. Where nothing does, the prompt; empty for a picture that is not there.
std::vector<std::string> differences(const PictureRequests& requests);

/// How many pictures a row has. Where what differs does so by rows and columns, as for a sweep over two settings, those
/// columns (of several ways to see it the one nearest to a square); else as many as make the sheet nearly square.
/// cell_width, cell_height: of a picture and its label, pixels; most: columns at most, at least 1.
size_t columns_for(const PictureRequests& requests, double cell_width, double cell_height, size_t most);

}  // namespace sdtorch
