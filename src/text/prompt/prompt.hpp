// What a prompt says, once its syntax is read: which texts are encoded, with which weights, during which calls.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sdtorch {

/// Whose grammar a prompt is written in.
enum class PromptSyntax { a1111, comfy, compel, plain };

/// A run of text whose words weigh the same.
struct PromptPiece {
  std::string text{};
  double weight = 1;
  bool new_chunk = false;  ///< A1111's BREAK: no text, but what follows begins a chunk of tokens

  bool operator==(const PromptPiece&) const = default;
};

/// A text as it is encoded: its pieces in their order.
using PromptPieces = std::vector<PromptPiece>;

/// Texts whose encodings are mixed; all but compel's syntax know no more than one text of weight 1.
struct PromptBlend {
  std::vector<PromptPieces> texts{};
  std::vector<double> weights{1};  ///< one a text
  bool normalized = true;          ///< the weights are divided by their sum
  double strength = 1;             ///< how far the mixture moves from the empty text's encoding; 1: it stays

  bool operator==(const PromptBlend&) const = default;
};

/// What holds up to a call.
struct PromptVersion {
  int64_t last_call = 0;              ///< 0-based; as A1111 counts, whose schedule `[a:b:3]` ends at call 3
  std::vector<PromptBlend> joined{};  ///< their encodings stand one behind the other; at least one

  bool operator==(const PromptVersion&) const = default;
};

/// A node of a prompt's editing: text, `[from:to:when]` or `[one|other]`. Brackets of emphasis are text here: A1111
/// reads them in what editing leaves.
struct EditNode {
  enum class Kind { text, edit, alternate };

  Kind kind = Kind::text;
  size_t first = 0, last = 0;                    ///< of the prompt's bytes; the text's, or with its brackets
  std::vector<std::vector<EditNode>> options{};  ///< edit: from, to; alternate: each in its turn
  std::string when{};                            ///< edit: the number as it is written
};
using EditTree = std::vector<EditNode>;

/// One of the prompts that `AND` composes.
struct PromptPart {
  double weight = 1;
  std::vector<PromptVersion> versions{};  ///< in the order of their last calls; at least one
  EditTree tree{};                        ///< A1111's alone

  /// The version at a call: the first whose last call is not before it, and past all of them the first of all, as
  /// A1111 has it.
  const PromptVersion& at_call(int64_t call) const;
};

/// A prompt, read.
struct PromptReading {
  std::vector<PromptPart> parts{};      ///< at least one
  std::vector<std::string> warnings{};  ///< what looks odd, but has a meaning
  std::string pooled_text{};            ///< compel: the text that the pooled output is of, as it is written
  bool pooled_apart = false;            ///< it is
};

/// How many calls a schedule's numbers count.
struct PromptCalls {
  int64_t calls = 1;                ///< network calls of all steps: a share of 1
  std::optional<int64_t> before{};  ///< in a second pass: those of the first; numbers count from its begin, and
                                    ///< shares from 1 to 2
};

/// A tag that was taken out of a prompt before it is read: offsets and columns count it all the same.
struct PromptCut {
  size_t place = 0;  ///< the byte of what is left that it stood before
  std::string text{};
};

struct PromptReader {
  PromptSyntax syntax = PromptSyntax::a1111;
  bool editing = true;    ///< A1111's `[from:to:when]`, `[one|other]`; stable-diffusion.cpp knows none
  bool composing = true;  ///< `AND` composes; in negative prompts it is a word
  PromptCalls calls{};
  std::vector<PromptCut> cuts{};  ///< in their order
};

/// Reads a prompt. text: UTF-8. flag: for messages.
/// Throws ErrorKind::input naming flag and column (1-based, in characters, as the prompt was before reader.cuts) where
/// the syntax has no meaning for it.
PromptReading read_prompt(std::string_view text, const PromptReader& reader, std::string_view flag);

}  // namespace sdtorch
