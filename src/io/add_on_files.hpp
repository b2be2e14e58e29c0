// Folders of add-ons: files that prompts call by their names.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sdtorch {

struct AddOnFile {
  std::filesystem::path path{};
  std::string name{};   ///< the file's, without its ending: what a prompt calls it
  std::string inner{};  ///< the same behind the sub-folders that it lies in, "styles/ink": tells equal names apart
};

/// The files in a folder, and in those below it, whose names end in one of `endings` (".pt", in any case), in the order
/// of `inner`. Links are followed, a folder that they lead to twice or back to once; a file whose name is not UTF-8,
/// which no prompt could say, is left out. Throws ErrorKind::usage naming the flag where there is no such folder.
std::vector<AddOnFile> add_on_files(const std::filesystem::path& folder, std::span<const std::string_view> endings,
                                    std::string_view flag);

/// kohya's name for what it trained (`ss_output_name`), by which a file may be called, too; empty where a file says
/// none.
std::string own_name_of(const std::filesystem::path& file);

/// An add-on's file as a flag names it. Throws ErrorKind::usage naming the flag, and the files in its folder that may
/// be meant, where it is not there.
void require_add_on(const std::filesystem::path& file, std::string_view flag);

/// Who asks for an add-on by its name, for messages.
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
