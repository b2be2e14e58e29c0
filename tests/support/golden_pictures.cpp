#include "support/golden_pictures.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "pipeline/settings_json.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/tolerance.hpp"

using namespace sdtorch;

LatentsAndPictures draw_json(const PipelineNetworks& networks, const nlohmann::json& request) {
  const Settings settings = settings_from_json(request, {}, {.file = "golden"});
  LatentsAndPictures drawn;
  Observer observer;
  observer.on_tensor = [&](std::string_view name, const at::Tensor& tensor) {
    if (name == "latent") drawn.latents = tensor;
  };
  drawn.pictures = draw_tensors(networks, settings, settings.batch_count, observer).pictures;
  return drawn;
}

void check_golden_pictures(
    const std::string& area,
    const std::function<const PipelineNetworks&(const nlohmann::json& golden_case)>& networks_of_case,
    const std::map<std::string, std::string>& files) {
  const auto expected = load_golden(area + "/pictures");
  const auto cases = nlohmann::json::parse(golden_metadata(area + "/pictures").at("cases"));
  REQUIRE(!cases.empty());
  for (size_t i = 0; i < cases.size(); ++i) {
    INFO(cases[i].dump());
    nlohmann::json request = cases[i];
    request.erase("model");
    for (const auto& [key, folder] : files) {
      if (!request.contains(key)) continue;
      const auto place = [&, &in = folder](nlohmann::json& name) {
        name = golden_path(in + "/" + name.get<std::string>()).string();
      };
      nlohmann::json& named = request[key];
      if (named.is_array()) {
        std::ranges::for_each(named, place);
      } else {
        place(named);
      }
    }
    const LatentsAndPictures drawn = draw_json(networks_of_case(cases[i]), request);
    const std::string number = fmt::format("{:03}", i);
    CHECK(relative_error(drawn.latents, expected.at(number + ".latent")) <= tolerance::tensor_relative);
    const at::Tensor bytes = (drawn.pictures * 255).round().permute({0, 2, 3, 1});
    const at::Tensor difference = (bytes - expected.at(number + ".image").to(at::kFloat)).abs();
    CHECK(difference.max().item<double>() <= tolerance::pixel * 255);
    CHECK(difference.mean().item<double>() <= tolerance::pixel_mean * 255);
  }
}
