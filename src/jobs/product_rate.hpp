// How fast this machine multiplies matrices: what the layers of a network could reach.
#pragma once

#include <ATen/ATen.h>

#include <span>

#include "core/profile.hpp"

namespace sdtorch {

/// Operations a second on the products of these layers' convolutions and linear layers, each as one matrix product
/// alone, by the quicker of ATen's and oneDNN's with a packed weight, median of several runs on the threads in use.
/// The sizes that make up most operations are measured, and weigh as much as those do; where a product has more rows
/// than keep all threads busy, so many. 0 where there are no such layers.
double measure_product_rate(std::span<const LayerCost> layers, at::ScalarType dtype, at::Device device);

}  // namespace sdtorch
