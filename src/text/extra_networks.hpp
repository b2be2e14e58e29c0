// Tags in prompts that name what is put on a model, as A1111 writes them: `<lora:style:0.8>`.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sdtorch {

/// One tag, `<KIND:ARGUMENT:NAME=ARGUMENT…>`.
struct ExtraNetworkTag {
  std::string kind{};                                        ///< "lora", "hypernet": ASCII letters in lower case
  std::vector<std::string> arguments{};                      ///< in order; the first is mostly a name, and may be empty
  std::vector<std::pair<std::string, std::string>> named{};  ///< those that have a name, but for the first
  std::string text{};                                        ///< as the prompt has it

  bool operator==(const ExtraNetworkTag&) const = default;
};

/// A prompt, and what was taken out of it.
struct PromptWithTags {
  std::string text{};  ///< what is left: spaces around a tag stay, as in A1111
  std::vector<ExtraNetworkTag> tags{};
  std::vector<size_t> places{};  ///< one a tag: the byte of `text` that it stood before
};

/// Finds A1111's `<(\w+):([^>]+)>`, from the left. Any kind is a tag; whoever draws says which have a meaning.
/// prompt: any bytes.
PromptWithTags take_extra_networks(std::string_view prompt);

}  // namespace sdtorch
