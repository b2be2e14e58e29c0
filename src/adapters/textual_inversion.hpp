// Learned words (Gal et al. 2022, "An Image is Worth One Word"): vectors that take a word's place among a text
// encoder's token embeddings, in the layouts of A1111, diffusers and their kin.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace sdtorch {

/// Which of a model's text encoders vectors are for.
enum class LearnedFor {
  only,    ///< the one that there is
  first,   ///< SDXL's first: `clip_l`
  second,  ///< SDXL's second: `clip_g`
};

struct LearnedWord {
  std::string name{};                          ///< as the file calls it; empty: it does not
  std::map<LearnedFor, at::Tensor> vectors{};  ///< fp32 [n, C], n >= 1 and the same for all, C the encoder's width
  int64_t count() const { return vectors.begin()->second.size(0); }  ///< n
};

/// What a file holds, and whose naming it has.
struct TextualInversion {
  std::vector<LearnedWord> words{};  ///< one, but where a trainer saved several beside one another, each by its name
  bool named_by_file = false;        ///< A1111's layout: there the word is what the file is called
};

/// Reads a .pt, .bin or .safetensors file: A1111's (`string_to_param`, with `name`), a dict of words (diffusers'),
/// SDXL's pair (`clip_l`, `clip_g`; `text_encoders_0` and `_1` of trainers), a bare tensor or `emb_params`; or a PNG
/// that holds one (png_embedding.hpp). Throws ErrorKind::model naming file and key, and as read_png_embedding.
TextualInversion load_textual_inversion(const std::filesystem::path& file);

/// The same of tensors by their keys in such a file, `string_to_param.*`, as a LoRA brings them along.
/// name: what stands in the file as the word's; may be empty. file: for messages.
TextualInversion read_textual_inversion(const std::map<std::string, at::Tensor>& tensors, const std::string& name,
                                        const std::string& file);

/// One of a model's text encoders.
struct EncoderPlace {
  size_t encoders = 1;  ///< how many the model has
  bool second = false;  ///< SDXL's second; a refiner has it alone
  int64_t width = 0;    ///< C of its token embeddings; 0: not known, and any fits
};

/// fp32 [n, width]. file and model: names, for messages. Throws ErrorKind::model naming the file, its width, the
/// encoder's and what the file was made for, where they do not fit.
at::Tensor vectors_for(const LearnedWord& word, const EncoderPlace& encoder, const std::string& file,
                       const std::string& model);

}  // namespace sdtorch
