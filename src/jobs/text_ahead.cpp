#include "jobs/text_ahead.hpp"

#include <ATen/Parallel.h>

#include <exception>
#include <system_error>

namespace sdtorch {

void TextAhead::begin(const Pipeline& pipeline, const std::vector<Request>& pictures) {
  if (running_.valid() || pictures.empty() || !pipeline.prepares_beside()) return;
  const auto prepare = [&pipeline, pictures] {
    at::get_num_threads();  // as many in this thread as in others: LibTorch sees to it when it is asked
    try {
      pipeline.prepare(pictures);
    } catch (const std::exception&) {  // told where they are drawn
    }
  };
  try {
    running_ = std::async(std::launch::async, prepare);
  } catch (const std::system_error&) {  // no thread is to be had
  }
}

void TextAhead::finish() {
  if (running_.valid()) running_.get();
}

}  // namespace sdtorch
