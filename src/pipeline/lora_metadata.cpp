#include "pipeline/lora_metadata.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <mutex>
#include <set>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "io/mapped_file.hpp"
#include "io/safetensors.hpp"
#include "io/sha256.hpp"
#include "io/weights_format.hpp"
#include "pipeline/loras.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;

std::string read_hash(const fs::path& file) {
  const MappedFile mapped(file, ErrorKind::input);
  std::span<const std::byte> hashed = mapped.bytes();
  if (weights_format(hashed, file.string()) == WeightsFormat::safetensors) {
    const SafetensorsHeader header = read_safetensors_header(hashed, file.string());
    const auto own = header.metadata.find("sshs_model_hash");
    if (own != header.metadata.end() && !own->second.empty()) return own->second;
    size_t begin = hashed.size();
    for (const auto& [key, entry] : header.tensors) begin = std::min(begin, entry.begin);
    hashed = hashed.subspan(begin);
  }
  std::string hash = sha256(hashed);
  mapped.release(mapped.bytes());
  return hash;
}

/// A file, and what changes where it is written anew.
using FileState = std::pair<std::string, std::pair<uintmax_t, fs::file_time_type::rep>>;

/// Empty where it cannot be read. Each file is read once.
std::string hash_of(const fs::path& file) {
  static std::mutex mutex;
  static std::map<FileState, std::string> known;
  std::error_code error;
  const uintmax_t size = fs::file_size(file, error);
  if (error) return "";
  const auto written = fs::last_write_time(file, error);
  const std::lock_guard lock(mutex);
  const auto [found, is_new] = known.try_emplace({file.string(), {size, written.time_since_epoch().count()}});
  if (!is_new) return found->second;
  try {
    found->second = read_hash(file);
  } catch (const Error&) {  // a picture is worth more than what it says of itself
  }
  return found->second;
}

std::vector<NamedLora> still_there(const ModelChoice& choice, const Request& request) {
  try {
    return named_loras(request, choice.lora_dir);
  } catch (const Error&) {  // they were there when the picture was drawn
    return {};
  }
}

}  // namespace

std::string lora_tags(const Request& request) {
  std::string tags;
  for (const std::string& text : request.lora) {
    const FileAndWeights said = split_weights(text);
    const std::string name = fs::path(said.file).stem().string();
    if (name.find_first_of(":<>") != std::string::npos) continue;
    const std::string first = said.weights.empty() ? "1" : said.weights.front();
    // A tag has the text encoder's weight first.
    const bool two = said.weights.size() > 1 && said.weights.back() != first;
    tags += two ? fmt::format(" <lora:{}:{}:{}>", name, said.weights.back(), first)
                : fmt::format(" <lora:{}:{}>", name, first);
  }
  return tags;
}

std::string lora_hashes(const ModelChoice& choice, const Request& request) {
  std::string list;
  std::set<std::string> listed;
  for (const NamedLora& lora : still_there(choice, request)) {
    std::string name = lora.name;
    std::erase_if(name, [](char c) { return c == ':' || c == ','; });
    const std::string hash = hash_of(lora.file).substr(0, 12);
    if (!hash.empty() && listed.insert(name).second)
      list += fmt::format("{}{}: {}", list.empty() ? "" : ", ", name, hash);
  }
  return list;
}

std::string anchored_lora(const std::string& text) {
  const FileAndWeights said = split_weights(text);
  std::error_code error;
  if (!fs::exists(said.file, error)) return text;
  std::string whole = fs::absolute(said.file).lexically_normal().string();
  for (const std::string& weight : said.weights) whole += ":" + weight;
  return whole;
}

}  // namespace sdtorch
