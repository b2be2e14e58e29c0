// A tiny autoencoder (TAESD, TAESDXL) in a diffusers folder or in a single file.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "weights/state_dict.hpp"

namespace sdtorch {

struct TaesdFile {
  nlohmann::json config{};  ///< as diffusers' AutoencoderTiny has it
  std::string place{};      ///< where the config stands, for messages
  StateDict weights{};      ///< under diffusers' names; a decoder alone, or with its encoder
};

/// Layers are numbered by their place in a sequence: from 0 after `encoder.layers.` and `decoder.layers.` in diffusers'
/// files and stable-diffusion.cpp's; bare, one half a file, in those of TAESD's own repository, or behind
/// `taesd_encoder.` and `taesd_decoder.`, where the decoder's first layer, which has no weights, counts, too. What no
/// config says, shapes tell.
/// verify: whether checksums are held against the bytes, which reads them.
/// Throws ErrorKind::model naming the file, saying what it is where it is no such thing, and an encoder alone.
TaesdFile read_taesd(const std::filesystem::path& folder_or_file, bool verify);

}  // namespace sdtorch
