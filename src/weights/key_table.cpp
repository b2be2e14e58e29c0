#include "weights/key_table.hpp"

namespace sdtorch {

KeyTable::KeyTable(const std::vector<KeyPair>& pairs) {
  for (const auto& [theirs, ours] : pairs) {
    ours_.emplace(theirs, ours);
    theirs_.emplace(ours, theirs);
  }
}

std::optional<std::string> KeyTable::renamed(const Names& names, std::string_view key) {
  for (size_t end = key.size(); end != std::string_view::npos && end > 0; end = key.rfind('.', end - 1)) {
    const auto found = names.find(key.substr(0, end));
    if (found != names.end()) return found->second + std::string(key.substr(end));
  }
  return std::nullopt;
}

std::optional<std::string> KeyTable::to_ours(std::string_view key) const { return renamed(ours_, key); }

std::optional<std::string> KeyTable::to_theirs(std::string_view key) const { return renamed(theirs_, key); }

}  // namespace sdtorch
