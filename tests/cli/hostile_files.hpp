// Files under a model's name that hold none, or a broken or hostile one.
#pragma once

#include <string>
#include <vector>

struct HostileFile {
  std::string name, contents;
  std::string message;  ///< what the error has to say
};

std::vector<HostileFile> files_of_other_kinds();
std::vector<HostileFile> hostile_safetensors();
std::vector<HostileFile> hostile_archives();
std::vector<HostileFile> hostile_pickles();
std::vector<HostileFile> hostile_shares();
std::vector<HostileFile> hostile_tensors();
std::vector<HostileFile> hostile_old_files();

/// All of them.
std::vector<HostileFile> hostile_files();
