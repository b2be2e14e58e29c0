#include "jobs/text_ahead.hpp"

#include <exception>

#include "core/own_thread.hpp"

namespace sdtorch {

void TextAhead::begin(const Pipeline& pipeline, const std::vector<Request>& pictures) {
  if (running_.valid() || pictures.empty() || !pipeline.prepares_beside()) return;
  running_ = in_own_thread([&pipeline, pictures] {
    try {
      pipeline.prepare(pictures);
    } catch (const std::exception&) {  // told where they are drawn
    }
  });
}

void TextAhead::finish() {
  if (running_.valid()) running_.get();
}

}  // namespace sdtorch
