// What a weights file is, told by its content: names lie (a web page saved as `model.safetensors`).
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace sdtorch {

enum class WeightsFormat {
  safetensors,
  torch_zip,    ///< torch.save since 1.6: a zip archive of a pickle and the tensors' bytes
  torch_legacy  ///< torch.save before that: pickles, then the tensors' bytes
};

/// "safetensors", "PyTorch (zip)", "PyTorch (legacy)"
std::string_view name_of(WeightsFormat format);

/// Tells the format by the first bytes; whether the rest is sound is for the format's reader to see.
/// Throws ErrorKind::model calling any other file what it is where that is known: an empty file, a Git LFS pointer, a
/// web page, an error message as JSON or text, models of other programs (GGUF, ONNX, Keras, Flax), archives, pictures.
/// name: the file's in messages.
WeightsFormat weights_format(std::span<const std::byte> file, const std::string& name);

}  // namespace sdtorch
