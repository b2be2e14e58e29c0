#include "networks/context_gate.hpp"

#include "core/error.hpp"

namespace sdtorch {

void ContextGate::begin(Mode mode, int64_t pictures) {
  mode_ = mode;
  pictures_ = pictures;
  if (mode != Mode::closed) outputs_.clear();
}

void ContextGate::keep(const void* layer, const at::Tensor& output) {
  Kept& kept = outputs_[layer];
  if (!kept.sum.defined()) {
    kept.sum = at::zeros({pictures_, output.size(1), output.size(2)}, output.options());
    kept.rows = at::zeros({pictures_, 1, 1}, output.options());
  }
  kept.sum.index_add_(0, picture_of_row_, output);
  kept.rows.index_add_(0, picture_of_row_, at::ones({output.size(0), 1, 1}, output.options()));
}

at::Tensor ContextGate::kept(const void* layer) const {
  const auto found = outputs_.find(layer);
  if (found == outputs_.end()) throw Error(ErrorKind::bug, {.reason = "a layer's output was not kept"});
  return (found->second.sum / found->second.rows).index_select(0, picture_of_row_);
}

}  // namespace sdtorch
