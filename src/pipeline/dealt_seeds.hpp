// Seeds that are drawn, so that they can be drawn again.
#pragma once

#include <cstdint>
#include <optional>

namespace sdtorch {

/// From here on draw_seed deals a sequence, the same for the same start, in this process; none: it draws them.
void deal_seeds(std::optional<uint64_t> start);

/// The start of the sequence; none where nothing was dealt of one.
std::optional<uint64_t> start_of_dealt_seeds();

}  // namespace sdtorch
