// Pictures grown beyond their edges, against numpy's canvases and what diffusers' inpainting makes of them
// (scripts/goldens/expand.py).
#include "pipeline/expand.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "io/read_picture.hpp"
#include "pipeline/metadata.hpp"
#include "pipeline/settings_json.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/families.hpp"
#include "support/golden.hpp"
#include "support/golden_pictures.hpp"
#include "support/pictures.hpp"

using namespace sdtorch;

namespace {

std::string expand_file(const std::string& name) { return golden_path("inpainting/" + name).string(); }

Request wider(const PixelMargins& by = {.right = 16}) {
  return {.prompt = "a house", .steps = 3, .sampler = "euler", .init_img = expand_file("start.png"), .expand = by};
}

Pipeline expanding_pipeline() {
  return Pipeline::open({.model = golden_path("pipeline/models/sd1").string(), .device = "cpu", .dtype = "fp32"});
}

template <typename Pixels>
bool same_bytes(const Pixels& got, const at::Tensor& wanted) {
  const at::Tensor bytes =
      at::from_blob(const_cast<uint8_t*>(got.pixels.data()), wanted.sizes(), at::TensorOptions(at::kByte));
  return got.height == wanted.size(0) && got.width == wanted.size(1) && bytes.equal(wanted);
}

}  // namespace

TEST_CASE("a canvas and its mask have the bytes that numpy's have", "[pipeline]") {
  const auto expected = load_golden("expand/canvases");
  const auto cases = nlohmann::json::parse(golden_metadata("expand/pictures").at("cases"));
  REQUIRE(!cases.empty());
  for (size_t i = 0; i < cases.size(); ++i) {
    INFO(cases[i].dump());
    nlohmann::json json = cases[i];
    const int64_t factor = json.at("model") == "xl" ? 2 : 8;
    json.erase("model");
    for (const char* key : {"init-img", "mask"}) {
      if (json.contains(key)) json[key] = expand_file(json.at(key));
    }
    const Settings request = settings_from_json(json, {}, {.file = "golden"});
    std::optional<GreyImage> own;
    if (!request.mask.empty()) own = to_grey(read_picture(request.mask).image);
    if (request.mask_invert) {
      for (uint8_t& pixel : own->pixels) pixel = static_cast<uint8_t>(255 - pixel);
    }
    std::vector<std::string> warnings;
    const Canvas canvas = expanded(request, read_picture(request.init_img).image, own, factor, warnings);
    CHECK(same_bytes(canvas.picture, expected.at(fmt::format("{:03}.canvas", i))));
    CHECK(same_bytes(canvas.mask, expected.at(fmt::format("{:03}.mask", i))));
    CHECK(warnings.empty() == (request.expand != PixelMargins{.left = 5, .bottom = 3}));
  }
}

TEST_CASE("what is new on a grown canvas is painted as diffusers' inpainting paints it", "[pipeline]") {
  WiderModels models("inpainting");
  check_golden_pictures(
      "expand", [&](const nlohmann::json& one) -> const PipelineNetworks& { return models.get(one.at("model")); },
      {{"init-img", "inpainting"}, {"mask", "inpainting"}});
}

TEST_CASE("an expanded picture keeps its own bytes where it is asked to", "[pipeline]") {
  const Pipeline pipeline = expanding_pipeline();
  const Image own = read_picture(expand_file("start.png")).image;
  const PixelMargins by{.left = 8, .top = 3, .right = 5, .bottom = 0};
  Request request = wider(by);
  request.keep_unmasked = true;
  const Picture drawn = pipeline.draw(request);
  CHECK(drawn.image.width == 72);  // 69, and 3 more at the right
  CHECK(drawn.image.height == 48);
  CHECK((drawn.request.expand == by));
  CHECK((pipeline.draw(drawn.request).image == drawn.image));  // repeated with the size that was filled in
  const auto kept = [&](const Image& image, int64_t left, int64_t top) {
    for (int64_t y = 0; y < own.height; ++y) {
      const auto row = own.pixels.begin() + 3 * y * own.width;
      const auto there = image.pixels.begin() + 3 * ((y + top) * image.width + left);
      if (!std::equal(row, row + 3 * own.width, there)) return false;
    }
    return true;
  };
  CHECK(kept(drawn.image, 8, 8));  // 5 more at the top, the only side that grows
  request.keep_unmasked = false;
  CHECK_FALSE(kept(pipeline.draw(request).image, 8, 8));

  // Cut out around what is new, the canvas keeps the size that was asked for.
  request.inpaint_area = "masked";
  request.mask_padding = 4;
  const Image pasted_back = pipeline.draw(request).image;
  CHECK(pasted_back.width == 69);
  CHECK(pasted_back.height == 43);
  request.keep_unmasked = true;
  CHECK(kept(pipeline.draw(request).image, 8, 3));
}

TEST_CASE("a batch expands each picture as it would alone", "[pipeline]") {
  const Pipeline pipeline = expanding_pipeline();
  std::vector<Request> batch{wider({.left = 16}), wider({.left = 16})};
  for (size_t i = 0; i < batch.size(); ++i) batch[i].seed = i, batch[i].strength = 0.7;
  REQUIRE(can_share_batch(batch[0], batch[1]));
  const std::vector<Picture> together = pipeline.draw(batch);
  for (size_t i = 0; i < batch.size(); ++i) {
    const Image alone = pipeline.draw(batch[i]).image;
    CHECK(largest_difference(together[i].image, alone) <= 1);
  }
  batch[1].expand = PixelMargins{.right = 16};
  CHECK_FALSE(can_share_batch(batch[0], batch[1]));
}

TEST_CASE("how far a picture grows is read and written as it was said", "[pipeline]") {
  const Setting& setting = *find_setting("expand");
  Settings settings;
  set_from_text(settings, setting, "--expand", "1,2,3,4");
  CHECK((settings.expand == PixelMargins{.left = 1, .top = 2, .right = 3, .bottom = 4}));
  for (const std::string text : {"", "1", "1,2,3", "1,2,3,4,5", "1,2,3,", ",,,", "1,2,3,x", "1x2,3,4", "1.5,0,0,0"}) {
    INFO(text);
    check_error(ErrorKind::usage, "--expand: '" + text + "' is not LEFT,TOP,RIGHT,BOTTOM",
                [&] { set_from_text(settings, setting, "--expand", text); });
  }
  settings = {};
  static_cast<Request&>(settings) = wider({.left = 1, .bottom = 9});
  const nlohmann::json json = settings_to_json(settings);
  CHECK(json.at("expand") == "1,0,0,9");
  CHECK(settings_from_json(json, {}, {.file = "x"}) == settings);
  const std::string text = parameters_text({}, {.request = settings, .sampler = "euler"});
  INFO(text);
  CHECK(text.find("Expand: \"1,0,0,9\"") != std::string::npos);
  Settings read = parse_parameters(text, "x.png");
  CHECK((read.expand == settings.expand));
  leave_unused(read, {}, "x.png");
  CHECK_FALSE(read.expand);
}

TEST_CASE("an expansion that cannot be is refused before the weights are read", "[pipeline]") {
  const CheckedModel model =
      Pipeline::check({.model = golden_path("pipeline/models/sd1").string(), .device = "cpu", .dtype = "fp32"});
  const auto refused = [&](const Request& request, const std::string& message) {
    check_error(ErrorKind::usage, message, [&] { static_cast<void>(model.check(request)); });
  };
  Request request = wider();
  request.init_img.clear();
  refused(request, "--expand: there is no picture to expand; give --init-img FILE");
  refused(wider({}), "--expand: 0,0,0,0 grows nothing");
  refused(wider({.top = -8}), "--expand: must be 0…16384, is -8");
  refused(wider({.top = 1'000'000}), "--expand: must be 0…16384, is 1000000");
  refused(wider({.left = 16'384}), "--expand: the canvas is 16440 by 40 pixels, and a side may have 16384");
  request = wider({.right = 64});
  request.max_pixels = 4000;
  refused(request, "--expand: the canvas is 120 by 40 pixels, more than 4000 in all; --max-pixels allows more");
  request = wider();
  request.mask_invert = true;
  refused(request, "--mask-invert: there is no mask");
  request = wider();
  request.hires_scale = 2;
  refused(request, "--hires-scale: does not go with --init-img");
}
