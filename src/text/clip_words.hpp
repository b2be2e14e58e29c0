// How CLIP cuts normalized text into words.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sdtorch {

/// NFC, white space collapsed to single spaces, lower case. text: well-formed UTF-8.
std::string clip_normalize(std::string_view text);

/// The words of normalized text, spaces dropped; they point into `text`.
std::vector<std::string_view> clip_words(std::string_view text);

}  // namespace sdtorch
