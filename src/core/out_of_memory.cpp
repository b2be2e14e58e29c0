#include "core/out_of_memory.hpp"

#include <c10/util/Exception.h>

#include <new>
#include <string>
#include <string_view>
#include <system_error>

#include "core/error.hpp"

namespace sdtorch {

bool is_out_of_memory(const std::exception& error) {
  if (dynamic_cast<const std::bad_alloc*>(&error) || dynamic_cast<const c10::OutOfMemoryError*>(&error)) return true;
  if (const auto* of_system = dynamic_cast<const std::system_error*>(&error)) {  // no room for a thread's stack
    return of_system->code() == std::errc::resource_unavailable_try_again;
  }
  const auto* from_torch = dynamic_cast<const c10::Error*>(&error);
  if (!from_torch) {
    const std::string_view reason = error.what();
    return reason == "could not create a primitive" || reason == "could not execute a primitive";
  }
  const std::string message = from_torch->what_without_backtrace();
  return message.find("can't allocate memory") != message.npos || message.find("not enough memory") != message.npos;
}

void fail_out_of_memory() {
  throw Error(ErrorKind::memory,
              {.reason = "out of memory; a smaller picture, --batch-size 1 or --dtype bf16 needs less"});
}

}  // namespace sdtorch
