// What checkpoints hold besides the weights of what draws.
#pragma once

#include <string>
#include <string_view>

namespace sdtorch {

/// What a key names that checkpoints keep beside the weights of what draws, "noise schedule" or the like; empty for
/// weights and for keys that nothing here knows.
std::string kind_beside_weights(std::string_view key);

/// Of these kinds what only training has a use for.
bool is_of_training(std::string_view kind);

}  // namespace sdtorch
