// The tiny models of the goldens' areas pipeline and families, by name.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <utility>

#include "io/json.hpp"
#include "support/drawing.hpp"
#include "support/golden.hpp"
#include "support/temp_dir.hpp"

/// Where the golden area pipeline or families has it.
inline std::filesystem::path folder_of_family(const std::string& name) {
  const bool first = name == "sd1" || name == "sd2";
  return golden_path((first ? "pipeline/models/" : "families/models/") + name);
}

/// sd1, sd2, xl, refiner, lcm; and with another scheduler turbo, which is xl, and distilled, which is lcm in SD1's
/// pipeline.
inline sdtorch::ModelDescription describe_family(const std::string& name) {
  const std::string folder = name == "turbo" ? "xl" : name == "distilled" ? "lcm" : name;
  sdtorch::ModelDescription model = sdtorch::describe_model(folder_of_family(folder).string(), "");
  if (folder != name) {
    model.scheduler_file = golden_path("families/" + name + "_scheduler_config.json").string();
    model.scheduler = sdtorch::read_json_file(model.scheduler_file, sdtorch::ErrorKind::model);
    model.corrects_scheduler = name == "distilled";
    model.consistency = false;
  }
  return model;
}

/// Networks by name, each loaded once: of a model, or of one and its refiner.
class Models {
 public:
  const sdtorch::PipelineNetworks& get(const std::string& name, const std::string& refiner) {
    sdtorch::PipelineNetworks& networks = models_[{name, refiner}];
    if (!networks.model.unet) networks.model = sdtorch::load_components(describe_family(name), at::kCPU, at::kFloat);
    if (!refiner.empty() && !networks.refiner) {
      networks.refiner = sdtorch::load_components(describe_family(refiner), at::kCPU, at::kFloat);
    }
    return networks;
  }

 private:
  std::map<std::pair<std::string, std::string>, sdtorch::PipelineNetworks> models_{};
};

/// The folder of sd1, sd2 or xl; `sd1-9`: a copy whose U-Net is the one of that name in a golden area, with so many
/// channels.
inline std::filesystem::path with_wider_unet(const TempDir& folder, const std::string& name, const std::string& area) {
  namespace fs = std::filesystem;
  const std::string base = name.substr(0, name.find('-'));
  fs::path own = folder_of_family(base);
  if (base == name) return own;
  fs::path made = folder / name;
  if (fs::exists(made)) return made;
  fs::copy(own, made, fs::copy_options::recursive);
  fs::remove_all(made / "unet");
  fs::copy(golden_path(area + "/unet-" + name), made / "unet", fs::copy_options::recursive);
  return made;
}

/// Networks of with_wider_unet's names, each loaded once.
class WiderModels {
 public:
  explicit WiderModels(std::string area) : area_(std::move(area)) {}

  const sdtorch::PipelineNetworks& get(const std::string& name) {
    sdtorch::PipelineNetworks& networks = models_[name];
    if (!networks.model.unet) {
      networks = networks_of(sdtorch::describe_model(with_wider_unet(folder_, name, area_).string(), ""));
    }
    return networks;
  }

 private:
  std::string area_;
  TempDir folder_{};
  std::map<std::string, sdtorch::PipelineNetworks> models_{};
};
