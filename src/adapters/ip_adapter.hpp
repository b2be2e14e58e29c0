// IP-Adapters' files: plain, full and plus; for SD1, SDXL and faces alike.
#pragma once

#include <filesystem>
#include <vector>

#include "networks/image_attention.hpp"
#include "networks/ip_projection.hpp"
#include "weights/state_dict.hpp"
#include "weights/weights_file.hpp"

namespace sdtorch {

struct IpAdapterFile {
  IpProjectionConfig projection_config{};
  StateDict projection{};  ///< by IpProjection's names
  StateDict layers{};      ///< by ImageAttentionLayers' names
};

/// Reads a file of the original code, `image_proj.…` and `ip_adapter.1.to_k_ip.weight` (a `.safetensors`, or a `.bin`
/// of two dictionaries), or the same two out of a U-Net that diffusers saved with an adapter in it. Throws
/// ErrorKind::model naming the file, and calling FaceID adapters and other files what they are; naming a key where that
/// tells a size and is missing or misshapen.
IpAdapterFile load_ip_adapter(const std::filesystem::path& file, const LoadOptions& options = {});

/// The same of weights that are loaded; place: the file, for messages.
IpAdapterFile read_ip_adapter(const StateDict& weights, const std::string& place);

/// Throws ErrorKind::model naming file and key where the adapter's layers are not those that a U-Net with these places
/// needs: another number, other widths.
void require_fit(const IpAdapterFile& adapter, const std::vector<CrossAttentionPlace>& places, const std::string& file);

}  // namespace sdtorch
