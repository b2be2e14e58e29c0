// Leaving work that takes long before it is done: loading, a step, a decode.
#pragma once

#include <functional>

namespace sdtorch {

/// Asked before each layer of a network, hundreds of times a step, and between the weights that are loaded; throws what
/// is to end the work. It is to take no longer than a look at a flag.
using CancelCheck = std::function<void()>;

/// For as long as it lives, the library asks `check` in this thread, instead of one that was set before; what it throws
/// leaves Pipeline::open, draw or decode, whose pipeline draws on as if nothing had been.
class CancelScope {
 public:
  explicit CancelScope(CancelCheck check);
  CancelScope(const CancelScope&) = delete;
  CancelScope& operator=(const CancelScope&) = delete;
  ~CancelScope();

 private:
  CancelCheck check_;
  const CancelCheck* before_;
};

}  // namespace sdtorch
