// A function of tensors that is called again and again with tensors of the same shapes: on a GPU its kernels are
// captured in a CUDA graph, and later calls launch them all at once. Everywhere else it is called each time.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace sdtorch {

/// What is known of a call beside its tensors.
struct CallHint {
  std::string kind{};    ///< what else decides what the function does: calls of one kind and shapes are alike
  int64_t expected = 1;  ///< calls of this kind still to come, this one included: few do not repay a capture,
                         ///< unless many have come
};

class CapturedCalls {
 public:
  /// The inputs may be undefined; all that are not lie on one device. The function must do the same for all inputs of
  /// one kind and of the same shapes, look at no number in them, and keep none of what it is given.
  using Function = std::function<at::Tensor(const std::vector<at::Tensor>& inputs)>;

  CapturedCalls();
  ~CapturedCalls();

  /// function(inputs). The first call of a kind and shapes in a thread is plain, and so are all of what cannot be
  /// captured, and outside of inference mode. Throws what function throws. Safe from several threads.
  at::Tensor operator()(const std::vector<at::Tensor>& inputs, const Function& function, const CallHint& hint);

  /// Forgets them: what the functions read lies elsewhere now. Waits for the last replay. Not while one is called.
  void clear();

  /// How many graphs there are now.
  size_t graphs() const;

 private:
  struct Graphs;
  std::unique_ptr<Graphs> graphs_;
};

}  // namespace sdtorch
