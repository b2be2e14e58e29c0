// Where work that takes long may be left.
#pragma once

#include "sdtorch/cancel.hpp"

namespace sdtorch {

/// Throws what the thread's check throws; nothing where there is none. Called before each layer of a network and while
/// its weights are loaded.
void leave_if_cancelled();

}  // namespace sdtorch
