// Folders of what is put on models, whose files prompts and flags call by their names.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace sdtorch {

/// Who asks, for messages.
struct AddOnQuery {
  std::string asked_by{};       ///< the flag, and the tag where a prompt has one: "--prompt: <lora:style:1>"
  std::string_view kind{};      ///< "LoRA"
  std::string_view dir_flag{};  ///< "--lora-dir"
};

/// The file that a name means: one of the weights files in the folder and in the folders below it whose path ends in
/// the name, with its ending or without, in whole parts (`style`, `sub/style`, `style.safetensors`; `./style` is in the
/// folder itself). Where no file is called so, the one that says so of itself (kohya's `ss_output_name`, which A1111
/// writes into prompts).
/// folder: may be empty. Throws ErrorKind::usage naming asked_by, with the candidates, where there is no such file or
/// more than one.
std::filesystem::path find_add_on(const std::filesystem::path& folder, const std::string& name,
                                  const AddOnQuery& query);

}  // namespace sdtorch
