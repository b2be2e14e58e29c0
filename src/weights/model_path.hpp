// What a user calls a model → the folder or file that it is.
#pragma once

#include <filesystem>

namespace sdtorch {

/// The model that comes with the program, which draws where none is named.
std::filesystem::path built_in_model();

/// The first of these that is there:
/// - the path itself; where it is a model's folder in the Hugging Face cache (`models--ORG--NAME`), the snapshot that
///   its `main` branch is at, or its only one;
/// - `org/name` of a model in the local Hugging Face cache (hub_cache.hpp), and `org/name/FILE` in it;
/// - empty: the built-in model.
/// Throws ErrorKind::model saying what was looked for, and why what is there cannot be used.
std::filesystem::path find_model(const std::filesystem::path& path_or_name);

}  // namespace sdtorch
