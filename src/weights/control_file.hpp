// What steers a U-Net, in a file of its own: a ControlNet or a T2I-Adapter, by diffusers' names or by the original
// code's.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

#include "weights/state_dict.hpp"

namespace sdtorch {

enum class ControlKind { controlnet, t2i_adapter };

struct ControlFile {
  ControlKind kind = ControlKind::controlnet;
  nlohmann::json config{};  ///< as a diffusers folder would give it
  StateDict weights{};      ///< by diffusers' names
};

/// unet: the config of the U-Net that is to be steered, as diffusers writes it, for what no tensor tells.
/// Throws ErrorKind::model naming the file, saying what it is where it steers nothing, and naming a key where that
/// tells a size and is missing or misshapen.
ControlFile load_control_file(const std::filesystem::path& file, const nlohmann::json& unet);

/// The same of weights that are loaded; place: the file, for messages.
ControlFile read_control_file(StateDict weights, const nlohmann::json& unet, const std::string& place);

}  // namespace sdtorch
