// Work beside other work.
#pragma once

#include <ATen/Parallel.h>

#include <future>
#include <system_error>
#include <utility>

namespace sdtorch {

/// `work` in a thread of its own, for whose operators LibTorch counts as many threads as in others. Where no thread is
/// to be had, it is done once its result is asked for.
template <typename Work>
auto in_own_thread(Work work) -> std::future<decltype(work())> {
  const auto alike = [work = std::move(work)] {
    at::get_num_threads();  // LibTorch sees to a thread's number when it is asked for it
    return work();
  };
  try {
    return std::async(std::launch::async, alike);
  } catch (const std::system_error&) {
    return std::async(std::launch::deferred, alike);
  }
}

}  // namespace sdtorch
