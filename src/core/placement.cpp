#include "core/placement.hpp"

#include <c10/core/InferenceMode.h>

namespace sdtorch {

void place(at::Tensor& parameter, const Placement& to, at::MemoryFormat format) {
  // An inference tensor only if the weight is one, whatever the mode here: LibTorch takes no mixture of the two.
  const c10::InferenceMode same_kind(parameter.is_inference());
  const at::Tensor now = parameter.detach();
  const at::ScalarType type = now.is_floating_point() ? to.dtype : now.scalar_type();
  const bool in_place = now.scalar_type() == type && now.device() == to.device;
  parameter.set_data(in_place ? now.contiguous(format)
                              : now.to(to.device, type, /*non_blocking=*/false, /*copy=*/false, format));
}

void let_go(at::Tensor& parameter) {
  const c10::InferenceMode same_kind(parameter.is_inference());
  parameter.set_data(at::empty({1}, parameter.options()).expand(parameter.sizes()));
}

}  // namespace sdtorch
