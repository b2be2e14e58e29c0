// What a model's weights take of memory, told before they are loaded.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "core/placement.hpp"
#include "nn/quantized.hpp"
#include "pipeline/model_description.hpp"
#include "weights/state_dict.hpp"

namespace sdtorch {

/// Bytes that a component's weights take beside their files, at the least: what is stored in another type, is on a GPU,
/// or is put into another order there. What stays as it lies in a mapped file goes when memory is wanted, and is not
/// counted. quantization: of a U-Net whose layers compute so.
uint64_t bytes_needed(const StateDict& weights, const Placement& to, Quantization quantization = Quantization::none);

/// What a U-Net works in beside its weights, about, for each pixel of a latent under one condition; bytes.
double bytes_a_latent_pixel(const ModelDescription& model, at::ScalarType dtype);

/// Throws ErrorKind::memory naming what the weights need and what is free where they are sure not to fit: on the
/// device, in this machine's memory and its control groups', or under `ulimit -v`. What the drawing needs beside them
/// is not counted: nobody is refused who could draw. files: component → its weights, mapped.
void require_memory(const ModelDescription& model, const std::map<std::string, StateDict>& files, const Placement& to,
                    Quantization quantization);

}  // namespace sdtorch
