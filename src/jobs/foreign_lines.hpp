// Lines of prompt files as other tools have them: a prompt and its flags.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pipeline/settings.hpp"

namespace sdtorch {

/// What a line asks for, and what of it has no counterpart here, each a line for the log.
struct ForeignLine {
  Settings request{};
  std::vector<std::string> left_out{};
};

/// Whether a line is one of A1111's script "Prompts from file or textbox" by its content: it begins with a flag and has
/// `--prompt`.
bool is_a1111_line(std::string_view line);

/// Whether that script has such a flag, "--cfg_scale" or "--cfg-scale", and the setting that means the same, if any.
bool is_a1111_flag(std::string_view flag);
const Setting* setting_of_a1111(std::string_view flag);

/// Such a line: words as a shell splits them, `--prompt` and `--negative_prompt` up to the next flag, every other flag
/// with one value; a line without a flag is a prompt as a whole.
/// Throws ErrorKind::usage naming the flag, without a file, for what the script or the setting would not take.
ForeignLine read_a1111_line(std::string_view line, const Settings& base);

/// Whether a line is one of kohya's sd-scripts (gen_img, sample prompts) by its content: a prompt, and behind it flags
/// of theirs alone, each behind a space.
bool is_kohya_line(std::string_view line);

/// Whether they have such a flag, "--ss", and the setting that means the same, if any.
bool is_kohya_flag(std::string_view flag);
const Setting* setting_of_kohya(std::string_view flag);

/// Such a line: `text --n … --w 512 --h 768 --d 42 --s 28 --l 7.5`. Throws as the other.
ForeignLine read_kohya_line(std::string_view line, const Settings& base);

}  // namespace sdtorch
