// Leaving work that takes long before it is done. The library asks at every layer; whoever called it says when.
#pragma once

#include <functional>

namespace sdtorch {

/// Asked between pieces of work; throws what is to end it.
using CancelCheck = std::function<void()>;

/// For as long as it lives, leave_if_cancelled asks `check` in this thread, instead of one that was set before.
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

/// Throws what the thread's check throws; nothing where there is none. Called before each layer of a network and while
/// its weights are loaded: the check is to take no longer than a look at a flag.
void leave_if_cancelled();

}  // namespace sdtorch
