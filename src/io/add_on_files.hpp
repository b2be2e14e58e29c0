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
/// of `inner`. Links are followed; a file that is reached twice is there once, and one whose name is not UTF-8, which
/// no prompt could say, is not. Throws ErrorKind::usage naming the flag where there is no such folder.
std::vector<AddOnFile> add_on_files(const std::filesystem::path& folder, std::span<const std::string_view> endings,
                                    std::string_view flag);

/// An add-on's file as a flag names it. Throws ErrorKind::usage naming the flag, and the files in its folder that may
/// be meant, where it is not there.
void require_add_on(const std::filesystem::path& file, std::string_view flag);

}  // namespace sdtorch
