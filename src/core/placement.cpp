#include "core/placement.hpp"

#include <c10/core/InferenceMode.h>

#include "core/upload.hpp"

namespace sdtorch {

void place(at::Tensor& parameter, const Placement& to, at::MemoryFormat format) {
  // An inference tensor only if the weight is one, whatever the mode here: LibTorch takes no mixture of the two.
  const c10::InferenceMode same_kind(parameter.is_inference());
  const at::Tensor now = parameter.detach();
  const at::ScalarType type = now.is_floating_point() ? to.dtype : now.scalar_type();
  if (now.is_cpu() && to.device.is_cuda()) {  // as they lie; the GPU is quicker at changing them
    parameter.set_data(uploaded(now, to.device).to(type, /*non_blocking=*/false, /*copy=*/false, format));
    return;
  }
  const bool in_place = now.scalar_type() == type && now.device() == to.device;
  parameter.set_data(in_place ? now.contiguous(format)
                              : now.to(to.device, type, /*non_blocking=*/false, /*copy=*/false, format));
}

void let_go(at::Tensor& parameter) {
  const c10::InferenceMode same_kind(parameter.is_inference());
  parameter.set_data(at::empty({1}, parameter.options()).expand(parameter.sizes()));
}

}  // namespace sdtorch
