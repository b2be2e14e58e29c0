// How named tensors become a module's weights.
#pragma once

#include <torch/nn/module.h>

#include <string>

#include "weights/state_dict.hpp"

namespace sdtorch {

/// Gives each parameter and buffer of `module` its tensor of the same name and prepares each layer (placement.hpp):
/// floats of the type dtype, all on the device, in the layer's own form. What has that form already stays mapped; what
/// has not is copied once, layer by layer in the order of the file, whose pages leave memory as they are done with.
/// Strict: all missing, unexpected and misshapen keys are reported together in one ErrorKind::model, and nothing is
/// bound then. No parameter asks for a gradient afterwards. name: what the module is, for messages ("unet").
void bind_weights(torch::nn::Module& module, StateDict weights, at::ScalarType dtype, at::Device device,
                  const std::string& name);

/// Throws as bind_weights does where the weights do not fit, and binds nothing.
void check_weights(torch::nn::Module& module, const StateDict& weights, const std::string& name);

}  // namespace sdtorch
