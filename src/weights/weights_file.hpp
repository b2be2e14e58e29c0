// One weights file of whatever format, as named tensors.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "io/torch_tensors.hpp"
#include "io/weights_format.hpp"
#include "weights/state_dict.hpp"

namespace sdtorch {

struct WeightsFile {
  WeightsFormat format = WeightsFormat::safetensors;

  /// The weights. Of a checkpoint with more in it (an optimiser's state, …) the model's state dict alone.
  /// Mapped, and so read-only, wherever the file allows it; tensors that share a storage share its bytes.
  StateDict tensors{};

  /// Safetensors' `__metadata__`; of a checkpoint the numbers and strings beside the weights (`global_step`, …).
  std::map<std::string, std::string> metadata{};

  /// Of a checkpoint: all that lies beside the weights under a string. Nothing for safetensors.
  std::map<std::string, TorchValue> values{};

  /// The key under which the checkpoint keeps its weights (`state_dict`); empty where they are the whole.
  std::string found_under{};

  /// Tensors of the file that are not among `tensors`: optimiser states and the like.
  size_t left_out = 0;
};

struct LoadOptions {
  /// Whether the checksums of the tensors' bytes are held against them at once, where the format has any (PyTorch's
  /// zip): reads every byte. Without it, only what has to be unpacked is read, and SourcedTensor::verify is left to do.
  bool verify = true;
};

/// Reads a weights file by its content, whatever its name is. Nothing in it is executed (torch_pickle.hpp).
/// Throws ErrorKind::model naming file, key or offset; a file that holds no weights is called what it is
/// (weights_format.hpp).
WeightsFile load_weights(const std::filesystem::path& file, const LoadOptions& options = {});

}  // namespace sdtorch
