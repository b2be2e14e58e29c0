#include "io/base64.hpp"

#include <openssl/evp.h>

#include <algorithm>

namespace sdtorch {

std::string base64(std::span<const std::byte> bytes) {
  constexpr size_t piece = size_t{3} << 20;  // whole groups of three, whose count fits an int
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4 + 1);
  while (!bytes.empty()) {
    const size_t taken = std::min(bytes.size(), piece), before = text.size();
    text.resize(before + (taken + 2) / 3 * 4 + 1);  // and a NUL
    const int written = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data() + before),
                                        reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(taken));
    text.resize(before + static_cast<size_t>(written));
    bytes = bytes.subspan(taken);
  }
  return text;
}

}  // namespace sdtorch
