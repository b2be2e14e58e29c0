// Memory that is not to be had, as an error of our own whoever noticed it.
#pragma once

#include <exception>

namespace sdtorch {

/// Whether an allocator threw it: the C++ library's, LibTorch's on the CPU, which has no exception of its own for it,
/// a GPU's, or oneDNN, which finds no room for what it has described already.
bool is_out_of_memory(const std::exception& error);

/// ErrorKind::memory, with what needs less.
[[noreturn]] void fail_out_of_memory();

/// What `work` returns; throws ErrorKind::memory in place of what is_out_of_memory.
template <typename Work>
auto naming_out_of_memory(const Work& work) {
  try {
    return work();
  } catch (const std::exception& error) {
    if (is_out_of_memory(error)) fail_out_of_memory();
    throw;
  }
}

}  // namespace sdtorch
