#include "networks/depth_picture.hpp"

#include "core/error.hpp"
#include "io/json.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/tolerance.hpp"

using namespace sdtorch;
using nlohmann::json;

TEST_CASE("a depth estimator's pictures are made ready as transformers does", "[networks]") {
  const json golden = read_json_file(golden_path("depth/preparations.json"), ErrorKind::bug);
  const auto tensors = load_golden("depth/pictures");
  for (const auto& [name, row] : golden.at("preparations").items()) {
    INFO(name);
    const auto preparation = DepthPreparation::from_json(row.at("config"), "preprocessor_config.json");
    for (size_t i = 0; i < row.at("sizes").size(); ++i) {
      const json& from = golden.at("sizes")[i];
      INFO(from.dump());
      CHECK(json(preparation.size_of(from[0], from[1])) == row.at("sizes")[i]);
    }
    CHECK(relative_error(preparation.colours.normalised(tensors.at("pixels")), tensors.at(name)) <=
          tolerance::tensor_relative);
  }
  const auto narrow = DepthPreparation::from_json({{"keep_aspect_ratio", true}, {"ensure_multiple_of", 32}}, "p.json");
  CHECK(narrow.size_of(10, 640) == std::array<int64_t, 2>{32, 384});
}

TEST_CASE("the U-Net's depth channel equals diffusers', and is 0 where the depth is everywhere the same",
          "[networks]") {
  const auto tensors = load_golden("depth/pictures");
  CHECK(relative_error(depth_channel(tensors.at("depth"), {5, 7}), tensors.at("channel")) <=
        tolerance::tensor_relative);
  CHECK(at::equal(depth_channel(at::full({1, 4, 4}, 3.0), {2, 2}), at::zeros({1, 1, 2, 2})));
}

TEST_CASE("missing keys of a preparation take the reference's defaults", "[networks]") {
  const auto usual = DepthPreparation::from_json(json::object(), "preprocessor_config.json");
  CHECK(usual.size == std::array<int64_t, 2>{384, 384});
  CHECK(usual.filter == PillowFilter::bicubic);
  CHECK(usual.colours.mean == std::vector<double>{0.5, 0.5, 0.5});
}

TEST_CASE("a preparation is refused by key", "[networks]") {
  const auto check = [](const char* key, const json& value, const char* reason) {
    INFO(key << ": " << value.dump());
    CHECK_THROWS_WITH(DepthPreparation::from_json({{key, value}}, "preprocessor_config.json"),
                      Catch::StartsWith("preprocessor_config.json: " + std::string(key)) && Catch::Contains(reason));
  };
  check("size", {{"height", 384}}, "size: width: expected an integer, found nothing");
  check("size", {{"height", 384}, {"width", 0}}, "an integer from 1");
  check("size", {{"shortest_edge", 384}}, "height");
  check("resample", 5, "0 (nearest), 1 (Lanczos), 2 (bilinear) or 3 (bicubic)");
  check("image_mean", {0.5, 0.5}, "a number, or 3 of them");
  check("image_std", {0.5, 0, 0.5}, "numbers other than 0");
  check("ensure_multiple_of", 0, "an integer from 1");
  check("do_pad", true, "not supported");
  check("do_center_crop", true, "not supported");
  check("do_flip", true, "unknown key");
}
