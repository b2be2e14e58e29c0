#include "pipeline/tiny_vae.hpp"

#include <fmt/format.h>

#include "core/error.hpp"
#include "core/log.hpp"
#include "core/suggest.hpp"
#include "pipeline/model_description.hpp"
#include "weights/taesd_file.hpp"
#include "weights/vae_file.hpp"

namespace sdtorch {
namespace {

constexpr const char* flag = "--taesd";

/// TAESD and TAESDXL have the same names and shapes, and draw each other's latents in wrong colours.
void warn_of_other_family(const std::string& path, const ModelDescription& model) {
  const std::string name = ascii_lower(path);
  const size_t at = name.rfind("taesd");
  if (at == std::string::npos) return;
  const bool for_xl = name.compare(at, 7, "taesdxl") == 0;
  if (for_xl == model.xl.has_value()) return;
  log_warning_once(fmt::format(
      "{}: {} is, by its name, for {} models, and {} is {}", flag, path, for_xl ? "SDXL" : "SD 1.x and 2.x", model.name,
      for_xl ? "no SDXL model: the colours will be wrong" : "an SDXL model: the colours will be wrong"));
}

}  // namespace

TinyVaeDescription describe_tiny_vae(const std::string& path, const ModelDescription& model) {
  TinyVaeDescription described{.path = find_vae(flag, path)};
  const TaesdFile file = read_taesd(described.path, /*verify=*/false);
  described.config = TinyVaeConfig::from_json(file.config, file.place, model.read_options);
  const auto first_of_encoder = file.weights.lower_bound("encoder.");
  described.config.encoder = first_of_encoder != file.weights.end() && first_of_encoder->first.starts_with("encoder.");
  const TinyVaeConfig& config = described.config;
  if (config.latent_channels != model.vae.latent_channels) {
    fail(ErrorKind::model, described.path, {},
         fmt::format("decodes latents of {} channels, and those of {} have {}", config.latent_channels, model.name,
                     model.vae.latent_channels));
  }
  if (config.factor() != model.vae.factor()) {
    fail(ErrorKind::model, described.path, {},
         fmt::format("makes {} pixels of a latent's pixel, and the VAE of {} makes {}", config.factor(), model.name,
                     model.vae.factor()));
  }
  const int64_t halvings = static_cast<int64_t>(config.encoder_blocks.size()) - 1;
  if (config.encoder && int64_t{1} << halvings != config.factor()) {
    fail(ErrorKind::model, described.path, {},
         fmt::format("its encoder makes a picture {} times smaller, its decoder {} times larger",
                     int64_t{1} << halvings, config.factor()));
  }
  warn_of_other_family(path, model);
  return described;
}

}  // namespace sdtorch
