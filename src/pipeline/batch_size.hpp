// How many pictures share a U-Net call.
#pragma once

#include <cstdint>

#include "pipeline/settings.hpp"

namespace sdtorch {

/// Settings::batch_size where the machine is to decide: `--batch-size auto`.
inline constexpr int64_t automatic_batch_size = 0;
inline constexpr const char* automatic_name = "auto";
inline constexpr int64_t largest_batch_size = 4'096;

/// Whether it is that setting.
inline bool is_batch_size(const Setting& setting) { return setting.name == "batch-size"; }

}  // namespace sdtorch
