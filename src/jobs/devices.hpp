// `--device A,B,…`: several devices under one command.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/job.hpp"
#include "jobs/worker_pool.hpp"

namespace sdtorch {

/// Every GPU that is there.
inline constexpr std::string_view all_devices = "cuda:all";

/// The devices that `--device` names: one, several between commas, or `cuda:all`. Several are all of one kind, since a
/// picture would depend on who happens to draw it; a GPU stands there once, `cpu` as often as there are to be workers.
/// Throws ErrorKind::usage; whether the devices are there is not looked at.
std::vector<std::string> split_devices(const std::string& text);

/// The same with `cuda:all` as what is there. Throws ErrorKind::usage as resolve_device, for each.
std::vector<std::string> present_devices(const std::vector<std::string>& devices);

/// How a worker is started for each device, all with the same model. choice: what holds for the whole run; threads:
/// inside an operator, which the workers share out; folder: of the pictures.
std::vector<WorkerSetup> worker_setups(const std::vector<std::string>& devices, const ModelChoice& choice, int threads,
                                       const std::filesystem::path& folder);

/// The batch as a line for a worker, which hands each picture over in its answer.
std::string worker_line(const Batch& batch);

}  // namespace sdtorch
