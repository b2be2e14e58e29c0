// Parts of pictures repainted at the model's own size, against diffusers' (scripts/goldens/masked_area.py).
#include "pipeline/masked_area.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "pipeline/settings_json.hpp"
#include "sdtorch/pipeline.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/golden.hpp"
#include "support/tolerance.hpp"

using namespace sdtorch;

TEST_CASE("what is around a mask is drawn alone and pasted back as diffusers does", "[pipeline]") {
  const auto expected = load_golden("masked_area/pictures");
  const auto cases = nlohmann::json::parse(golden_metadata("masked_area/pictures").at("cases"));
  const Pipeline pipeline =
      Pipeline::open({.model = golden_path("pipeline/models/sd1").string(), .device = "cpu", .dtype = "fp32"});
  REQUIRE(!cases.empty());
  for (size_t i = 0; i < cases.size(); ++i) {
    INFO(cases[i].dump());
    nlohmann::json request = cases[i];
    request["prompt"] = "a house";
    request["inpaint-area"] = "masked";
    request["init-img"] = golden_path("masked_area/start.png").string();
    request["mask"] = golden_path("masked_area/" + request.at("mask").get<std::string>()).string();
    const Image drawn = pipeline.draw(settings_from_json(request, {}, {.file = "golden"})).image;
    const at::Tensor wanted = expected.at(fmt::format("{:03}.image", i));
    REQUIRE(wanted.numel() == std::ssize(drawn.pixels));
    const at::Tensor got =
        at::from_blob(const_cast<uint8_t*>(drawn.pixels.data()), wanted.sizes(), at::TensorOptions(at::kByte));
    const at::Tensor difference = (got.to(at::kFloat) - wanted.to(at::kFloat)).abs();
    CHECK(difference.max().item<double>() <= tolerance::pixel * 255);
    CHECK(difference.mean().item<double>() <= tolerance::pixel_mean * 255);
  }
}

TEST_CASE("an area without a mask is refused, and a black mask takes the whole picture", "[pipeline]") {
  check_error(ErrorKind::usage, "--inpaint-area: there is no mask",
              [] { Request{.prompt = "a", .init_img = "x.png", .inpaint_area = "masked"}.validate(); });
  check_error(ErrorKind::usage, "--inpaint-area: 'half' is not a choice",
              [] { Request{.prompt = "a", .init_img = "x.png", .mask = "m.png", .inpaint_area = "half"}.validate(); });
  const GreyImage black{.width = 5, .height = 4, .pixels = std::vector<uint8_t>(20)};
  CHECK(region_of(black, 8, 8, 2) == Region{.right = 5, .bottom = 4});
}
