#include "jobs/devices.hpp"

#include <fmt/format.h>
#include <torch/cuda.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/device.hpp"
#include "core/error.hpp"
#include "core/number.hpp"
#include "jobs/shard.hpp"
#include "pipeline/settings.hpp"
#include "pipeline/settings_json.hpp"

namespace sdtorch {
namespace {

constexpr std::string_view gpu = "cuda:";
constexpr const char* visible_gpus = "CUDA_VISIBLE_DEVICES";

bool is_gpu(std::string_view device) { return device.starts_with("cuda"); }

/// The variable by which a process sees one GPU alone, its first, which costs the others no memory.
std::pair<std::string, std::string> gpu_alone(const std::string& device) {
  const size_t number = parse_unsigned(std::string_view(device).substr(gpu.size())).value();
  std::vector<std::string> visible;
  if (const auto text = environment_variable(visible_gpus)) visible = comma_parts(*text);
  return {visible_gpus, number < visible.size() ? visible[number] : std::to_string(number)};
}

}  // namespace

std::vector<std::string> split_devices(const std::string& text) {
  std::vector<std::string> devices = comma_parts(text);
  if (devices.size() == 1) return devices;
  const auto refuse_list = [&](const std::string& reason, const char* hint) {
    refuse("--device", fmt::format("'{}': {}", text, reason), hint);
  };
  for (std::string& device : devices) {
    if (device == "cuda") device = "cuda:0";
    if (device == all_devices || device == "auto") {
      refuse_list(fmt::format("{} does not go with others", device), "name the devices one by one");
    }
    ModelChoice one;
    one.device = device;
    one.validate();
    if (is_gpu(device) != is_gpu(devices.front())) {
      refuse_list("a picture would depend on which of them draws it", "use CPUs or GPUs alone");
    }
    if (is_gpu(device) && std::ranges::count(devices, device) > 1) {
      refuse_list(fmt::format("{} stands there twice", device), "one worker a GPU");
    }
  }
  return devices;
}

std::vector<std::string> present_devices(const std::vector<std::string>& devices) {
  std::vector<std::string> all = devices;
  if (devices.size() == 1 && devices.front() == all_devices) {
    resolve_device("cuda");  // which says why there is none
    const auto count = static_cast<size_t>(torch::cuda::device_count());
    all.clear();
    for (size_t i = 0; i < count; ++i) all.push_back(fmt::format("{}{}", gpu, i));
  }
  for (const std::string& device : all) resolve_device(device);
  return all;
}

std::vector<WorkerSetup> worker_setups(const std::vector<std::string>& devices, const ModelChoice& choice, int threads,
                                       const std::filesystem::path& folder) {
  const int share = std::max(threads / static_cast<int>(devices.size()), 1);
  std::vector<WorkerSetup> setups;
  for (size_t i = 0; i < devices.size(); ++i) {
    const bool on_gpu = is_gpu(devices[i]);
    WorkerSetup setup{.name = on_gpu ? devices[i] : fmt::format("{} (worker {})", devices[i], i + 1)};
    setup.arguments = {"--from-file",         "-",      "--from-file-format", "jsonl", "--threads",
                       std::to_string(share), "--quiet"};
    if (!folder.empty()) setup.arguments.push_back("--outdir=" + folder.string());
    if (on_gpu) setup.environment.push_back(gpu_alone(devices[i]));
    Settings settings{choice, Request{}};
    settings.device = on_gpu ? "cuda:0" : devices[i];
    for (const Setting& setting : sdtorch::settings()) {
      if (setting.scope != SettingScope::run) continue;
      const std::string value = text_of(settings, setting).value_or("");
      const bool is_switch = setting.value.empty();
      if (value.empty() || value == text_of(Settings{}, setting)) continue;
      setup.arguments.push_back(fmt::format("--{}{}", setting.name, is_switch ? "" : "=" + value));
    }
    setups.push_back(std::move(setup));
  }
  return setups;
}

std::string worker_line(const Batch& batch) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (size_t i = 0; i < batch.pictures.size(); ++i) {
    nlohmann::ordered_json object = {{"id", i}, {"output", "-"}};
    Settings settings{*batch.choice, batch.pictures[i]};
    settings.batch_size = std::ssize(batch.pictures);
    const nlohmann::ordered_json fields = settings_to_json(settings);
    for (const auto& [key, value] : fields.items()) {
      const Setting* setting = find_setting(key);
      if (!setting || setting->scope == SettingScope::picture) object[key] = value;
    }
    list.push_back(std::move(object));
  }
  return list.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace sdtorch
