// Telling whether the files that a run draws with are those that it was begun with.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "jobs/job.hpp"

namespace sdtorch {

/// 16 hexadecimal digits of what a file holds, or a folder of weights, configs and tokenizers: of names, sizes and
/// bytes, up to `whole_bytes` of a file all of them, of a larger one its head, its tail and pieces spread between
/// (16 MiB), which another training or another precision changes everywhere. The same on every machine. Empty where
/// there is none.
std::string fingerprint(const std::filesystem::path& path);

inline constexpr size_t whole_bytes = size_t{64} << 20;

/// Those of everything that the jobs name by path (models, LoRAs, input pictures, …), under `FLAG NAME`: `model demo`.
/// Of folders that are searched by name (--lora-dir) each file whose name stands in some text of a job, by its size and
/// sixteen pieces of it: `lora-dir styles/ink.safetensors`.
std::map<std::string, std::string> fingerprints_of(const std::vector<Job>& jobs);

}  // namespace sdtorch
