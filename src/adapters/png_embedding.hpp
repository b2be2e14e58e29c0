// Learned words in pictures: A1111 saves one as a PNG of what it draws (modules/textual_inversion/image_embedding.py),
// with the file's content in a text of it, `sd-ti-embedding`, as base64 of JSON whose tensors are lists of numbers, and
// in the lower bits of its pixels, which last where somebody takes the texts away.
#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>

namespace sdtorch {

struct PngEmbedding {
  std::string name{};                           ///< as it calls itself; empty: it does not
  std::map<std::string, at::Tensor> tensors{};  ///< fp32, by the keys of A1111's files: `string_to_param.*`
};

enum class PngPlaces { text, text_and_pixels };

/// Nothing where the file is no PNG, or a picture and no more. places: where it is looked for; pixels cost a decoding.
/// Throws ErrorKind::model naming the file and the text where that is none of an embedding, ErrorKind::input for a PNG
/// that is broken.
std::optional<PngEmbedding> read_png_embedding(const std::filesystem::path& file,
                                               PngPlaces places = PngPlaces::text_and_pixels);

}  // namespace sdtorch
