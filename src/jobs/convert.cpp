#include "jobs/convert.hpp"

#include <fmt/format.h>

#include <utility>

#include "core/dtype.hpp"
#include "core/error.hpp"
#include "core/log.hpp"
#include "core/paths.hpp"
#include "core/suggest.hpp"
#include "diffusion/scheduler_config.hpp"
#include "jobs/file_to_file.hpp"
#include "weights/model_path.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;

void check_options(const ConvertOptions& options) {
  stored_type(options.dtype);
  if (is_single_file(options.output) && options.output.most_bytes > 0) {
    refuse("--shard", "is for folders, and OUT is a single file", "leave it away");
  }
  if (!options.input.prediction.empty() && !find_prediction(options.input.prediction)) {
    check_choice("--prediction", options.input.prediction, {"epsilon", "v", "x0"});
  }
}

}  // namespace

std::optional<at::ScalarType> stored_type(const std::string& name) {
  check_choice("--dtype", name, {"keep", "fp32", "fp16", "bf16"});
  return name == "keep" ? std::nullopt : find_compute_dtype(name);
}

void convert_model(const ConvertOptions& options) {
  check_options(options);
  check_target(options.output);
  const auto type = stored_type(options.dtype);
  const fs::path model = find_model(options.input.model);
  if (!is_folder(model) && is_single_file(options.output) && options.input.vae.empty() &&
      file_to_file(options.input, options.output, type)) {
    return;
  }
  write_model(plan_model(options.input, type), options.output);
}

}  // namespace sdtorch
