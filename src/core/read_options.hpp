// How strictly a model's configs are read.
#pragma once

namespace sdtorch {

struct ReadOptions {
  bool ignore_unknown = false;  ///< a key that nobody knows is a warning, not an error
};

}  // namespace sdtorch
