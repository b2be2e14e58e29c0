// Drawing with networks that a test has loaded by itself, as tensors.
#pragma once

#include <utility>
#include <vector>

#include "pipeline/draw.hpp"

/// One model's networks, in fp32 on the CPU where nothing else is said.
inline sdtorch::PipelineNetworks networks_of(sdtorch::ModelDescription model, at::ScalarType dtype = at::kFloat,
                                             at::Device device = at::kCPU) {
  sdtorch::PipelineNetworks networks;
  networks.model = sdtorch::load_components(std::move(model), device, dtype);
  return networks;
}

/// `count` pictures of one request in one batch, picture i by seed + i.
inline sdtorch::Drawn draw_tensors(const sdtorch::PipelineNetworks& networks, const sdtorch::Request& request,
                                   int64_t count = 1, const sdtorch::Observer& observer = {}) {
  std::vector<sdtorch::ResolvedRequest> batch;
  for (int64_t i = 0; i < count; ++i) {
    sdtorch::Request picture = request;
    picture.seed += static_cast<uint64_t>(i);
    batch.push_back(sdtorch::resolve(networks.model.description, picture,
                                     networks.refiner ? &networks.refiner->description : nullptr));
  }
  return sdtorch::draw(networks, batch, observer);
}
