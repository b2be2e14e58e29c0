// A network's golden (scripts/goldens/networks.py): its config, weights, inputs and the reference's outputs.
#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "weights/state_dict.hpp"

struct GoldenNetwork {
  std::string config_file;
  nlohmann::json config;
  sdtorch::StateDict weights;
  std::map<std::string, at::Tensor> inputs;
  std::map<std::string, std::map<std::string, at::Tensor>> outputs;  ///< of fp32, bf16 and fp16, by name
};

/// NAME.json and NAME.safetensors of a folder; without one, of tests/golden/networks.
GoldenNetwork load_golden_network(const std::string& name);
GoldenNetwork load_golden_network(const std::filesystem::path& folder, const std::string& name);

/// The golden of the U-Net that control/NAME steers (scripts/goldens/control.py).
GoldenNetwork load_steered_unet(const std::string& name);

using Outputs = std::map<std::string, at::Tensor>;

/// Builds the network from the golden's config, binds its weights and runs it on the golden's inputs.
Outputs run_clip(const GoldenNetwork& golden, at::ScalarType type, at::Device device = at::kCPU);
Outputs run_projecting_clip(const GoldenNetwork& golden, at::ScalarType type, at::Device device = at::kCPU);
Outputs run_unet(const GoldenNetwork& golden, at::ScalarType type, at::Device device = at::kCPU);
Outputs run_vae(const GoldenNetwork& golden, at::ScalarType type, at::Device device = at::kCPU);

using RunNetwork = Outputs (*)(const GoldenNetwork&, at::ScalarType, at::Device);

/// Checks the fp32 outputs against the reference's.
void check_exact(const GoldenNetwork& golden, RunNetwork run, double tolerance, at::Device device = at::kCPU);
/// Checks that at bf16 and fp16 we lose about what the reference loses.
void check_half_types(const GoldenNetwork& golden, RunNetwork run, at::Device device = at::kCPU);
