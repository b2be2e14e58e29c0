// How much memory may still be had.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace sdtorch {

/// What may still be had, and what sets the limit.
struct FreeMemory {
  uint64_t bytes = 0;
  std::string limit{};  ///< for messages: "this machine", "the control group /batch", "ulimit -v"
};

/// What this process may still fill: the least of what the machine has (MemAvailable, with what may be swapped out) and
/// of what its control groups leave, of both versions, each with those above it; cached files, which go when memory is
/// wanted, count as free. root: the folder that holds proc/ and sys/. Nothing where the system does not tell.
std::optional<FreeMemory> free_memory(const std::filesystem::path& root = "/");

/// How much this process may still map for tensors: RLIMIT_AS and RLIMIT_DATA (`ulimit -v`, `-d`), but for the last
/// 96 MiB, which are left to libraries: oneDNN, for one, does not look at whether the small pieces that it asks malloc
/// for are there, and OpenMP ends a program for which there is no thread. Nothing where there is no such limit.
std::optional<FreeMemory> free_addresses();

/// What a GPU has left, with what LibTorch's allocator keeps for tensors to come. Nothing for the CPU, and where the
/// allocator does not tell.
std::optional<FreeMemory> free_device_memory(at::Device device);

/// Gives back what allocators keep and no tensor uses, after memory was not to be had.
void release_device_memory(at::Device device);

/// `3.4 GB`, `20 MB`: powers of ten, two digits or more.
std::string shown_bytes(uint64_t bytes);

}  // namespace sdtorch
