// Where a network's weights end up, and in which form.
#pragma once

#include <ATen/ATen.h>

namespace sdtorch {

struct Placement {
  at::ScalarType dtype = at::kFloat;
  at::Device device = at::kCPU;
};

/// Gives a parameter or buffer its final form in one copy: floats in the type, on the device, dense in the format's
/// order. One that has it already stays where it lies.
void place(at::Tensor& parameter, const Placement& to, at::MemoryFormat format = at::MemoryFormat::Contiguous);

/// Keeps a parameter's shape and type, and none of its memory: what became of it is elsewhere.
void let_go(at::Tensor& parameter);

/// A layer with a say in the form of its weights. One without takes them as `place` leaves them.
class Prepared {
 public:
  /// Brings the weights into their final form, for `forward` to use unchanged. Called by bind_weights when they are
  /// there, wherever and of whatever type they are; a second call changes nothing. The old ones may be let go then.
  virtual void prepare(const Placement& to) = 0;

  /// Undoes that: the parameters are then plain tensors whose values are still to come, of any shape.
  virtual void renew() = 0;

 protected:
  ~Prepared() = default;
};

}  // namespace sdtorch
