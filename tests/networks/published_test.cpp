// The published models' networks at full size, without weights: layers start uninitialised, so that nothing touches the
// ten gigabytes that SDXL's would fill.
#include "support/published.hpp"
#include "networks/clip_text.hpp"
#include "networks/unet.hpp"
#include "networks/vae.hpp"
#include "support/catch.hpp"

using namespace sdtorch;
using nlohmann::json;

namespace {

Shapes shapes_of(const torch::nn::Module& network) {
  Shapes shapes;
  for (const auto& parameter : network.named_parameters()) shapes[parameter.key()] = parameter.value().sizes().vec();
  for (const auto& buffer : network.named_buffers()) shapes[buffer.key()] = buffer.value().sizes().vec();
  return shapes;
}

/// component: its folder's name
Shapes built(const std::string& component, const json& config) {
  const std::string file = component + "/config.json";
  if (component == "unet") return shapes_of(UNet2DConditionModel(UNetConfig::from_json(config, file)));
  if (component == "vae") return shapes_of(AutoencoderKL(VaeConfig::from_json(config, file)));
  const bool projects = config.at("architectures").at(0) == "CLIPTextModelWithProjection";
  return shapes_of(ClipTextModel(ClipTextConfig::from_json(config, file, {.projection = projects})));
}

}  // namespace

TEST_CASE("published configs make networks of the published tensors", "[networks]") {
  for (const char* name : published_models) {
    for (const auto& [component, network] : published_model(name).networks) {
      INFO(name << " " << component);
      check_shapes(built(component, network.config), weights_in_folder(network));
    }
  }
}

TEST_CASE("the configs that we know the families by make the same networks", "[networks]") {
  for (const char* name : published_models) {
    const PublishedModel model = published_model(name);
    for (const auto& [component, network] : model.networks) {
      INFO(name << " " << component);
      const json config = published_config(model.kind, component);
      check_agree(config, network.config);
      check_shapes(built(component, config), weights_in_folder(network));
    }
  }
}
