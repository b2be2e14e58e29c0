// Whole pictures against a reference's: a golden area's pictures.safetensors, whose metadata lists the requests.
#pragma once

#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "support/drawing.hpp"

/// Final latents fp32 [B, 4, h, w] and pictures fp32 [B, 3, H, W] in 0…1.
struct LatentsAndPictures {
  at::Tensor latents{}, pictures{};
};

/// Draws what a request's JSON says, all its pictures in one batch.
LatentsAndPictures draw_json(const sdtorch::PipelineNetworks& networks, const nlohmann::json& request);

/// Draws every case of the area by the networks that belong to its keys `model` and `refiner`, which the request does
/// not have, and holds latents and pixels to the golden's. files: keys that name a file of a golden folder, or a list
/// of them.
void check_golden_pictures(
    const std::string& area,
    const std::function<const sdtorch::PipelineNetworks&(const nlohmann::json& golden_case)>& networks_of_case,
    const std::map<std::string, std::string>& files = {});
