// Pictures that are drawn after a picture's depth, against diffusers' depth-to-image pipeline, and depth against
// transformers' depth-estimation pipeline (scripts/goldens/depth_to_image.py).
#include "pipeline/depth_to_image.hpp"
#include <fmt/format.h>
#include "pipeline/settings_json.hpp"

#include "io/atomic_file.hpp"
#include "io/image.hpp"
#include "io/json.hpp"
#include "io/read_picture.hpp"
#include "io/resize.hpp"
#include "pipeline/control.hpp"
#include "support/catch.hpp"
#include "support/drawing.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/golden.hpp"
#include "support/golden_pictures.hpp"
#include "support/pictures.hpp"
#include "support/temp_dir.hpp"

using namespace sdtorch;

namespace {

namespace fs = std::filesystem;

std::string started_from(const char* name) { return golden_path(std::string("image_to_image/") + name).string(); }
const std::string depth_file = golden_path("depth_to_image/depth.png").string();

/// The tiny SD2 with the golden's U-Net, scheduler, estimator and index in place of its own.
fs::path depth_model(const TempDir& folder) {
  const fs::path model = folder / "depth";
  fs::copy(golden_path("pipeline/models/sd2"), model, fs::copy_options::recursive);
  for (const char* part : {"unet", "scheduler"}) fs::remove_all(model / part);
  fs::copy(golden_path("depth_to_image/model"), model,
           fs::copy_options::recursive | fs::copy_options::overwrite_existing);
  return model;
}

/// Its index without an estimator.
void forget_estimator(const fs::path& model) {
  nlohmann::json index = read_json_file(model / "model_index.json", ErrorKind::bug);
  index.erase("depth_estimator");
  write_file(model / "model_index.json", index.dump());
}

Image picture_of(const std::string& file) {
  const std::string bytes = file_contents(file);
  return compose_on_white(read_picture(std::as_bytes(std::span(bytes)), file, {}));
}

ModelChoice in_fp32(const fs::path& model) { return {.model = model.string(), .device = "cpu", .dtype = "fp32"}; }

}  // namespace

TEST_CASE("a picture's depth gives what diffusers' depth-to-image gives", "[pipeline]") {
  const TempDir folder;
  const PipelineNetworks networks = networks_of(describe_model(depth_model(folder).string(), ""));
  REQUIRE(networks.model.description.task == Task::depth);
  check_golden_pictures("depth_to_image", [&](const nlohmann::json&) -> const PipelineNetworks& { return networks; },
                        {{"init-img", "image_to_image"}, {"depth-img", "depth_to_image"}});
}

TEST_CASE("an estimator's depth is the picture that transformers' pipeline makes of it", "[pipeline]") {
  const auto expected = load_golden("depth_to_image/estimates");
  for (const auto& [name, place] :
       {std::pair("hybrid", "depth_to_image/model"), std::pair("vit", "depth_to_image/vit")}) {
    const LoadedDepthEstimator estimator = load_depth_estimator(describe_depth_estimator(golden_path(place)), at::kCPU);
    for (const char* file : {"first.png", "second.png"}) {
      INFO(name << " " << file);
      const GreyImage grey = estimator.depth_picture(picture_of(started_from(file)));
      const at::Tensor wanted = expected.at(fmt::format("{}.{}", name, file));
      REQUIRE(wanted.sizes() == at::IntArrayRef({grey.height, grey.width}));
      const at::Tensor made = at::from_blob(const_cast<uint8_t*>(grey.pixels.data()), wanted.sizes(), at::kByte);
      CHECK((made.to(at::kInt) - wanted.to(at::kInt)).abs().max().item<int>() <= 1);
    }
  }
}

TEST_CASE("a control net is given the depth of its picture", "[pipeline]") {
  const TempDir folder;
  ModelChoice choice = in_fp32(golden_path("pipeline/models/sd1"));
  choice.control_net = {golden_path("control_nets/nets/net_a").string(),
                        golden_path("control_nets/nets/adapter_grey").string()};
  choice.depth_estimator = golden_path("depth_to_image/vit").string();
  const Pipeline pipeline = Pipeline::open(choice);
  const at::Tensor depth = load_golden("depth_to_image/estimates").at("vit.first.png").contiguous();
  GreyImage grey{.width = depth.size(1), .height = depth.size(0)};
  grey.pixels.assign(depth.const_data_ptr<uint8_t>(), depth.const_data_ptr<uint8_t>() + depth.numel());
  const std::string as_file = (folder / "depth.png").string();
  write_file_atomically(as_file, encode_png(to_rgb(grey), {}));

  Request estimated{.prompt = "a house", .steps = 3, .sampler = "euler"};
  estimated.control_image = {started_from("first.png"), as_file};
  estimated.control_preprocess = {"depth", "none"};
  Request given = estimated;
  given.control_image = {as_file, as_file};
  given.control_preprocess = {"none"};
  const Picture drawn = pipeline.draw(estimated);
  CHECK(drawn.request.width == 64);
  CHECK(largest_difference(drawn.image, pipeline.draw(given).image) <= 1);
  Request plain = estimated;
  plain.control_preprocess.clear();
  CHECK_FALSE((pipeline.draw(plain).image == drawn.image));

  // One net of two after another picture's depth; each as alone.
  estimated.width = 32, estimated.height = 40;
  std::vector<Request> batch{estimated, estimated};
  batch[1].control_image = {started_from("second.png"), started_from("first.png")};
  batch[0].control_preprocess = batch[1].control_preprocess = {"depth"};
  const std::vector<Picture> together = pipeline.draw(batch);
  for (size_t i = 0; i < batch.size(); ++i)
    CHECK(largest_difference(together[i].image, pipeline.draw(batch[i]).image) <= 1);
}

TEST_CASE("a batch of pictures drawn after their depths draws each as it would be alone", "[pipeline]") {
  const TempDir folder;
  const Pipeline pipeline = Pipeline::open(in_fp32(depth_model(folder)));
  std::vector<Request> batch;
  for (const char* file : {"first.png", "second.png", "second.png"}) {
    batch.push_back({.prompt = "a house",
                     .steps = 4,
                     .seed = batch.size(),
                     .width = 32,
                     .height = 40,
                     .sampler = "euler_a",
                     .init_img = started_from(file),
                     .resize = "crop"});
  }
  batch[2].depth_img = depth_file;
  REQUIRE(can_share_batch(batch[0], batch[2]));
  const std::vector<Picture> together = pipeline.draw(batch);
  for (size_t i = 0; i < batch.size(); ++i) {
    const Picture alone = pipeline.draw(batch[i]);
    CHECK((together[i].request.inputs == alone.request.inputs));
    CHECK(largest_difference(together[i].image, alone.image) <= 1);
  }
  batch[2].seed = batch[1].seed;
  CHECK_FALSE((pipeline.draw(batch[2]).image == together[1].image));
}

TEST_CASE("a picture drawn after its depth is repeated by what its metadata says", "[pipeline]") {
  const TempDir folder;
  const Pipeline pipeline = Pipeline::open(in_fp32(depth_model(folder)));
  const Picture drawn = pipeline.draw(Request{.prompt = "a", .steps = 3, .init_img = started_from("first.png")});
  REQUIRE(drawn.request.width == 64);
  CHECK((pipeline.draw(drawn.request).image == drawn.image));

  Request request = drawn.request;
  request.depth_img = depth_file;
  const nlohmann::ordered_json written = settings_to_json({{}, pipeline.draw(request).request});
  const Settings read = settings_from_json(nlohmann::json::parse(written.dump()), {}, {.file = "a.png"});
  CHECK(read.inputs.size() == 2);
  CHECK(settings_to_json({{}, pipeline.draw(read).request}).dump() == written.dump());
}

TEST_CASE("an estimator sees the picture itself, unless another size or shape is drawn", "[pipeline]") {
  const TempDir folder;
  const ModelDescription model = describe_model(depth_model(folder).string(), "");
  const auto seen = [&](const char* shape, std::optional<int64_t> width) {
    const Request request{.prompt = "a", .width = width, .init_img = started_from("first.png"), .resize = shape};
    return resolve(model, request).depth->picture.width;
  };
  CHECK(seen("stretch", {}) == 70);
  CHECK(seen("stretch", 64) == 70);
  CHECK(seen("stretch", 72) == 72);
  CHECK(seen("crop", {}) == 64);
}

TEST_CASE("a given depth is shaped as the picture is", "[pipeline]") {
  const TempDir folder;
  const ModelDescription model = describe_model(depth_model(folder).string(), "");
  const auto given = [&](const char* shape) {
    Request request{.prompt = "a", .width = 32, .height = 64, .init_img = started_from("first.png")};
    request.depth_img = depth_file;
    request.resize = shape;
    return *resolve(model, request).depth->given;
  };
  const GreyImage own = to_grey(picture_of(depth_file));
  CHECK((given("stretch") == own));
  CHECK((given("crop") == fit(own, 32, 64, Fit::crop, Resampling::bicubic)));
  CHECK((given("pad") == fit(own, 32, 64, Fit::pad, Resampling::bicubic)));
}

TEST_CASE("a model for depth asks for what it needs before the weights are read", "[pipeline]") {
  const TempDir folder;
  const fs::path path = depth_model(folder);
  for (const char* part : {"unet", "depth_estimator"}) {
    write_file(
        path / part / (part == std::string("unet") ? "diffusion_pytorch_model.safetensors" : "model.safetensors"),
        "no weights");
  }
  const Request good{.prompt = "a", .init_img = started_from("first.png")};
  const auto refused = [&](const ModelChoice& choice, auto change, const std::string& message,
                           ErrorKind kind = ErrorKind::usage) {
    Request request = good;
    change(request);
    check_error(kind, message, [&] { static_cast<void>(Pipeline::check(choice).check(request)); });
  };
  const ModelChoice own = in_fp32(path);
  CHECK_NOTHROW(Pipeline::check(own).check(good));
  refused(
      own, [](Request& r) { r.init_img.clear(); },
      "--init-img: depth is a model for depth to image, which needs a picture; give --init-img FILE");
  refused(
      own, [](Request& r) { r.init_img.clear(), r.depth_img = depth_file; },
      "--depth-img: there is no picture to start from; give --init-img FILE");
  refused(
      own, [](Request& r) { r.mask = depth_file; }, "--mask: depth is a model for depth to image, which sees no mask");
  refused(
      own, [](Request& r) { r.depth_img = "no-such.png"; }, "no-such.png", ErrorKind::input);
  refused(
      own, [](Request& r) { r.strength = 1.2; }, "--strength: must be 0…1");
  refused(
      in_fp32(golden_path("pipeline/models/sd1")), [](Request& r) { r.depth_img = depth_file; },
      "--depth-img: sd1 is a model for text to image; only models for depth to image see one");

  forget_estimator(path);
  refused(
      own, [](Request&) {},
      "--depth-img: depth is a model for depth to image, and has no estimator of its own; give a picture of the "
      "depth by --depth-img FILE, or an estimator by --depth-estimator DIR");
  Request given = good;
  given.depth_img = depth_file;
  CHECK(Pipeline::check(own).check(given).request.inputs.size() == 2);
  ModelChoice other = own;
  other.depth_estimator = golden_path("depth_to_image/vit").string();
  CHECK_NOTHROW(Pipeline::check(other).check(good));
  other.depth_estimator = golden_path("depth_to_image/model").string();
  CHECK_NOTHROW(Pipeline::check(other).check(good));
}

TEST_CASE("a depth estimator's faults are named", "[pipeline]") {
  const TempDir folder;
  const fs::path path = folder / "estimator";
  fs::copy(golden_path("depth_to_image/vit"), path, fs::copy_options::recursive);
  ModelChoice choice = in_fp32(golden_path("pipeline/models/sd1"));
  choice.depth_estimator = path.string();
  check_error(ErrorKind::usage, "--depth-estimator: nothing here asks for depth", [&] { Pipeline::check(choice); });

  const auto refused = [&](const std::string& message) {
    check_error(ErrorKind::model, message, [&] { describe_depth_estimator(path); });
  };
  const nlohmann::json config = read_json_file(path / "config.json", ErrorKind::bug);
  const auto with = [&](const char* key, const nlohmann::json& value) {
    nlohmann::json changed = config;
    changed[key] = value;
    write_file(path / "config.json", changed.dump());
  };
  with("model_type", "depth_anything");
  refused("config.json: model_type: \"depth_anything\", where dpt was expected");
  with("architectures", {"DPTForSemanticSegmentation"});
  refused("config.json: architectures: [\"DPTForSemanticSegmentation\"], where DPTForDepthEstimation was expected");
  with("num_channels", 1);
  refused("config.json: num_channels: 1, but a picture has 3");
  write_file(path / "config.json", config.dump());
  DepthEstimatorDescription odd = describe_depth_estimator(path);
  odd.preparation.size = {45, 32}, odd.preparation.ensure_multiple_of = 1;
  check_error(ErrorKind::model,
              "preprocessor_config.json: size: a picture of 70 by 45 pixels is prepared to 32 by 45, and the depth "
              "estimator takes multiples of 8",
              [&] { odd.check_takes(45, 70); });
  DepthEstimatorDescription hybrid = describe_depth_estimator(golden_path("depth_to_image/model"));
  hybrid.preparation.keep_aspect_ratio = true;
  check_error(ErrorKind::model, "and the depth estimator takes 48 by 48", [&] { hybrid.check_takes(45, 70); });
  fs::remove(path / "preprocessor_config.json");
  refused("preprocessor_config.json");
  fs::remove_all(path);
  refused("estimator: no folder of a depth estimator, with config.json, weights and preprocessor_config.json");
}
