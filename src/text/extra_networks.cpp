#include "text/extra_networks.hpp"

#include <algorithm>

#include "core/suggest.hpp"
#include "core/utf8.hpp"
#include "text/unicode.hpp"

namespace sdtorch {
namespace {

/// Where the word at `offset` ends; `offset` itself where there is none.
size_t word_end(std::string_view text, size_t offset) {
  while (offset < text.size()) {
    const Utf8Character c = first_character(text.substr(offset));
    if (c.bytes == 0 || !is_word_char(c.code)) break;
    offset += c.bytes;
  }
  return offset;
}

ExtraNetworkTag read_tag(std::string_view kind, std::string_view arguments) {
  ExtraNetworkTag tag{.kind = ascii_lower(kind)};
  for (size_t start = 0; start <= arguments.size();) {
    const size_t end = std::min(arguments.find(':', start), arguments.size());
    const std::string_view argument = arguments.substr(start, end - start);
    const size_t equals = argument.find('=');
    const bool named = start > 0 && equals != std::string_view::npos;
    if (named) {
      tag.named.emplace_back(argument.substr(0, equals), argument.substr(equals + 1));
    } else {
      tag.arguments.emplace_back(argument);
    }
    start = end + 1;
  }
  return tag;
}

}  // namespace

PromptWithTags take_extra_networks(std::string_view prompt) {
  PromptWithTags found;
  for (size_t at = 0; at < prompt.size();) {
    const size_t open = std::min(prompt.find('<', at), prompt.size());
    found.text += prompt.substr(at, open - at);
    if (open == prompt.size()) break;
    const size_t colon = word_end(prompt, open + 1);
    const size_t close = prompt.find('>', colon);
    const bool is_tag = colon > open + 1 && colon < prompt.size() && prompt[colon] == ':' &&
                        close != std::string_view::npos && close > colon + 1;
    if (is_tag) {
      ExtraNetworkTag tag =
          read_tag(prompt.substr(open + 1, colon - open - 1), prompt.substr(colon + 1, close - colon - 1));
      tag.text = prompt.substr(open, close + 1 - open);
      found.tags.push_back(std::move(tag));
      found.places.push_back(found.text.size());
    } else {
      found.text += '<';
    }
    at = is_tag ? close + 1 : open + 1;
  }
  return found;
}

}  // namespace sdtorch
