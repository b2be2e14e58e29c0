#include "support/multilingual.hpp"

#include "io/json.hpp"
#include "support/files.hpp"
#include "support/golden.hpp"
#include "text/load_tokenizer.hpp"

using nlohmann::json;

namespace {

std::string base64(const std::string& bytes) {
  constexpr const char* digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t bits = 0;
    for (size_t k = 0; k < 3; ++k)
      bits = bits << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    for (size_t k = 0; k < 4; ++k) text += i + k > bytes.size() ? '=' : digits[bits >> (18 - 6 * k) & 63u];
  }
  return text;
}

/// A message's nested field of bytes: the first one of that number.
std::string field_of(const std::string& message, uint64_t wanted) {
  size_t at = 0;
  const auto varint = [&] {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<unsigned char>(message.at(at++));
      value |= uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < message.size()) {
    const uint64_t tag = varint(), size = varint();  // the goldens' parts hold fields of bytes only
    if (tag == (wanted << 3 | 2u)) return message.substr(at, size);
    at += size;
  }
  return {};
}

}  // namespace

const json& multilingual_cases() {
  static const json cases = sdtorch::read_json_file(golden_path("multilingual/cases.json"), sdtorch::ErrorKind::bug);
  return cases;
}

std::string sentencepiece_model(const std::string& name) {
  return file_contents(golden_path("multilingual/" + name + ".part")) +
         file_contents(golden_path("multilingual/nmt_nfkc.part"));
}

void make_multilingual_tokenizer(const std::string& name, const std::filesystem::path& folder) {
  const json& description = multilingual_cases().at(name);
  write_file(folder / description["file"].get<std::string>(),
             sentencepiece_model(description["model"].get<std::string>()));
  write_file(folder / "tokenizer_config.json", description["config"].dump());
}

void make_tokenizer_json(const std::string& name, const std::filesystem::path& folder) {
  const json& description = multilingual_cases().at(name);
  json whole =
      sdtorch::read_json_file(golden_path("multilingual/" + name + "_tokenizer.json"), sdtorch::ErrorKind::bug);
  const std::string normalizer = field_of(file_contents(golden_path("multilingual/nmt_nfkc.part")), 3);
  whole["normalizer"] = {{"type", "Precompiled"}, {"precompiled_charsmap", base64(field_of(normalizer, 2))}};
  write_file(folder / "tokenizer.json", whole.dump());
  write_file(folder / "tokenizer_config.json", description["saved_config"].dump());
}
