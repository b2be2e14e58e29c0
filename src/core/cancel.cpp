#include "core/cancel.hpp"

#include <utility>

namespace sdtorch {
namespace {

thread_local const CancelCheck* current_check = nullptr;

}  // namespace

CancelScope::CancelScope(CancelCheck check) : check_(std::move(check)), before_(current_check) {
  current_check = &check_;
}

CancelScope::~CancelScope() { current_check = before_; }

void leave_if_cancelled() {
  if (current_check) (*current_check)();
}

}  // namespace sdtorch
