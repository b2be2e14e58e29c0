// Whose rules a request's prompts are read and encoded by.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "sdtorch/request.hpp"
#include "text/prompt/chunks.hpp"
#include "text/prompt/prompt.hpp"

namespace sdtorch {

/// What weights do to a text's encoding; pooled outputs stay as they are.
enum class PromptWeighting {
  none,
  a1111,   ///< they multiply the hidden states, whose mean is then restored, in each chunk and of each encoder
  comfy,   ///< they move them on the line from the empty text's
  compel,  ///< likewise, and below 1 also towards the encoding by an encoder that does not see the words
};

/// What `--clip-skip` N means where a model's own layer is the one before the text encoder's last: SDXL's, and SD2's,
/// whose diffusers folders leave the last layer out.
enum class PenultimateSkip {
  further,  ///< N - 1 layers before its own (diffusers)
  ignored,  ///< nothing (A1111)
  counted,  ///< the N-th from the end: 2 is its own (ComfyUI, stable-diffusion.cpp)
};

struct PromptRules {
  PromptSyntax syntax = PromptSyntax::a1111;
  bool scheduled = true;  ///< a1111's syntax: editing and AND, which stable-diffusion.cpp does not have
  PromptWeighting weighting = PromptWeighting::a1111;
  ChunkRule chunks = ChunkRule::plain;
  std::optional<int64_t> clip_skip{};  ///< N; none: each encoder's own layer
  PenultimateSkip penultimate_skip = PenultimateSkip::further;
  bool negative_skips = true;  ///< the negative prompt's encoder leaves layers out too
  bool sides_apart = false;    ///< a shorter side is not made as long as the other
};

inline constexpr std::array<std::string_view, 4> prompt_syntax_names = {"a1111", "comfy", "compel", "plain"};
inline constexpr std::array<std::string_view, 4> prompt_weighting_names = {"a1111", "comfy", "compel", "none"};
inline constexpr std::array<std::string_view, 4> prompt_chunks_names = {"a1111", "comfy", "compel", "plain"};

/// The tool's that Request::compat names, or sdtorch's own, with what its own flags say on top of them. The request:
/// valid.
PromptRules prompt_rules_of(const Request& request);

/// How many layers are left out before a text encoder's own; -1 is one more than that (see ClipTextUse).
/// penultimate: its own is the one before its last.
int64_t skipped_layers(const PromptRules& rules, bool penultimate, bool negative);

/// Throws ErrorKind::usage naming the flag whose value is none of its choices.
void check_prompt_rules(const Request& request);

}  // namespace sdtorch
