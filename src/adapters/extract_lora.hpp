// A LoRA of what one model has over another.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "weights/model_source.hpp"
#include "weights/state_dict.hpp"

namespace sdtorch {

struct ExtractLoraOptions {
  std::filesystem::path from{};    ///< the model that the LoRA is to be put on: a folder, a file or a name
  std::filesystem::path to{};      ///< the model that it is to become
  std::filesystem::path output{};  ///< the .safetensors file to write; one that is there is replaced
  int64_t rank = 64;               ///< of matrices, 1…4096; less where a matrix has fewer rows or columns
  int64_t conv_rank = 0;           ///< of convolutions larger than 1×1; 0: the same
  at::ScalarType dtype = at::kHalf;
  bool only_products = false;  ///< leaves biases and norms alone, which are no products and stored whole
};

/// The tensors of the difference of one component, by kohya's names: of each matrix and convolution that differs the
/// nearest product of the rank (its singular vectors, Eckart and Young 1936), of biases and norms the difference.
/// prefix: "lora_unet_". from, to: by the networks' own names, of any floating-point types.
/// Throws ErrorKind::model naming file and key where the two have other keys or shapes, or numbers that are not finite.
std::map<std::string, at::Tensor> extract_component(const StateDict& from, const StateDict& to,
                                                    const std::string& prefix, const ExtractLoraOptions& options);

/// Of the U-Net and the text encoders of two models: writes a file that read_lora, A1111, ComfyUI and kohya's tools
/// read. The VAEs are not looked at. One component is in memory at a time.
/// Throws ErrorKind::model where they are not of one family, or do not differ; ErrorKind::output.
void extract_lora(const ExtractLoraOptions& options);

}  // namespace sdtorch
