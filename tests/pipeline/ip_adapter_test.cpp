// Pictures that prompt through IP-Adapters, against diffusers' pipelines (scripts/goldens/ip_adapter.py).
#include "pipeline/ip_adapter.hpp"

#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "core/device.hpp"
#include "pipeline/metadata.hpp"
#include "pipeline/settings_json.hpp"
#include "support/catch.hpp"
#include "support/cuda.hpp"
#include "support/errors.hpp"
#include "support/families.hpp"
#include "support/files.hpp"
#include "support/golden_pictures.hpp"
#include "support/pictures.hpp"
#include "support/temp_dir.hpp"
#include "support/tolerance.hpp"
#include "weights/state_dict.hpp"

using namespace sdtorch;
namespace fs = std::filesystem;

namespace {

using Paths = std::vector<std::string>;

std::string ip_file(const std::string& name) { return golden_path("ip_adapter/" + name).string(); }

const std::string plain = "small/plain_sd1.safetensors", plus = "small/plus_sd1.bin";

/// The networks of a golden's case.
PipelineNetworks prompted_networks(const nlohmann::json& golden_case) {
  ModelDescription description = describe_family(golden_case.at("model"));
  ModelChoice choice;
  const nlohmann::json& files = golden_case.at("ip-adapter");
  for (const auto& file : files.is_array() ? files : nlohmann::json::array({files})) {
    choice.ip_adapter.push_back(ip_file(file));
  }
  description.ip_adapters = describe_ip_adapters(choice, description);
  if (golden_case.contains("control-net")) {
    const std::string net = golden_case.at("control-net");
    description.controls.push_back(describe_control(golden_path("control_nets/nets/" + net).string(), description));
  }
  return networks_of(std::move(description));
}

ModelChoice prompted_sd1(const Paths& adapters, const std::string& encoder = "") {
  ModelChoice choice{.model = golden_path("pipeline/models/sd1").string(), .device = "cpu", .dtype = "fp32"};
  for (const std::string& adapter : adapters) choice.ip_adapter.push_back(ip_file(adapter));
  choice.ip_encoder = encoder;
  return choice;
}

Request small_request(const Paths& pictures) {
  Request request{.prompt = "a house", .steps = 3, .width = 32, .height = 40};
  request.sampler = "euler_a";
  for (const std::string& picture : pictures) request.ip_image.push_back(ip_file(picture));
  return request;
}

}  // namespace

TEST_CASE("pictures prompt as they do in diffusers' pipelines", "[pipeline]") {
  PipelineNetworks networks;
  check_golden_pictures(
      "ip_adapter",
      [&](const nlohmann::json& one) -> const PipelineNetworks& { return networks = prompted_networks(one); },
      {{"ip-image", "ip_adapter"},
       {"ip-adapter", "ip_adapter"},
       {"lora", "lora_pictures"},
       {"init-img", "ip_adapter"},
       {"mask", "ip_adapter"},
       {"control-image", "ip_adapter"}});
}

TEST_CASE("a batch of pictures that are prompted by pictures draws each as it would be alone", "[pipeline]") {
  const Pipeline pipeline = Pipeline::open(prompted_sd1({plain, plus}));
  std::vector<Request> batch{small_request({"a.png", "b.png"}), small_request({"c.png", "a.png"})};
  batch[1].seed = 5;
  batch[1].prompt = "a red house, on green hills, " + std::string(400, 'x');  // in a network call of its own
  for (Request& request : batch) request.ip_scale = {0.9, 0.5};
  REQUIRE(can_share_batch(batch[0], batch[1]));
  const std::vector<Picture> together = pipeline.draw(batch);
  for (size_t i = 0; i < batch.size(); ++i) {
    const Picture alone = pipeline.draw(batch[i]);
    CHECK((together[i].request.inputs == alone.request.inputs));
    CHECK(alone.request.inputs.size() == 2);
    CHECK(largest_difference(together[i].image, alone.image) <= 1);
  }
  CHECK(largest_difference(together[0].image, together[1].image) > 3);
  batch[1].ip_scale = {0.5};
  CHECK_FALSE(can_share_batch(batch[0], batch[1]));
  batch[1].ip_scale = batch[0].ip_scale;
  batch[1].ip_image.pop_back();
  CHECK_FALSE(can_share_batch(batch[0], batch[1]));
}

TEST_CASE("an adapter of scale 0 leaves the picture, bit for bit", "[pipeline]") {
  const Pipeline with = Pipeline::open(prompted_sd1({plus}));
  const Pipeline without = Pipeline::open(prompted_sd1({}));
  Request request = small_request({"a.png"});
  request.ip_scale = {0};
  const Image silent = with.draw(request).image;
  request.ip_scale = {1};
  const Image prompted = with.draw(request).image;
  CHECK((silent == without.draw(small_request({})).image));
  CHECK_FALSE((silent == prompted));
  CHECK((with.draw(request).image == prompted));  // what is remembered of the picture is what was seen
}

TEST_CASE("the second, larger pass is prompted by the same picture", "[pipeline]") {
  const Pipeline pipeline = Pipeline::open(prompted_sd1({plain}));
  Request request = small_request({"c.png"});
  request.hires_scale = 2;
  const Image prompted = pipeline.draw(request).image;
  request.ip_scale = {0};
  CHECK(prompted.width == 64);
  CHECK(largest_difference(prompted, pipeline.draw(request).image) > 3);
}

TEST_CASE("an IP-Adapter sees by the encoder that is named, or that lies beside one", "[pipeline]") {
  const ModelDescription sd1 = describe_family("sd1");
  const auto encoders = [&](const Paths& adapters, const std::string& named = "") {
    const IpAdaptersDescription described = describe_ip_adapters(prompted_sd1(adapters, named), sd1);
    std::string text;
    for (const IpAdapterDescription& adapter : described.adapters) {
      text += described.encoders[adapter.encoder].folder.parent_path().filename().string() + " ";
    }
    return text + std::to_string(described.encoders.size());
  };
  CHECK(encoders({plain}) == "small 1");
  CHECK(encoders({plain, "wide/plus_sd1.safetensors", plus}) == "small wide small 2");
  CHECK(encoders({plain}, ip_file("small/image_encoder")) == "small 1");
  CHECK(encoders({plain}, ip_file("small")) == "small 1");
  const TempDir folder;  // an adapter alone takes the encoder of another
  fs::copy(ip_file(plus), folder / "plus.bin");
  const ModelChoice both{.ip_adapter = {(folder / "plus.bin").string(), ip_file(plain)}};
  CHECK(describe_ip_adapters(both, sd1).encoders.size() == 1);
}

TEST_CASE("encoders without the prefix of their keys, and whole CLIPs, are read", "[pipeline]") {
  const StateDict weights = load_safetensors(ip_file("small/image_encoder/model.safetensors"));
  const auto drawn_by = [&](const std::function<std::string(const std::string&)>& rename, bool whole) {
    const TempDir folder;
    std::map<std::string, at::Tensor> tensors;
    for (const auto& [key, weight] : weights) tensors[rename(key)] = weight.tensor;
    nlohmann::json config = nlohmann::json::parse(file_contents(ip_file("small/image_encoder/config.json")));
    if (whole) {
      tensors["text_model.encoder.layers.0.layer_norm1.weight"] = at::zeros({3});
      tensors["text_projection.weight"] = at::zeros({3, 3});
      tensors["logit_scale"] = at::zeros({});
      config = {{"model_type", "clip"}, {"text_config", nlohmann::json::object()}, {"vision_config", config}};
    }
    save_safetensors(folder / "model.safetensors", tensors);
    write_file(folder / "config.json", config.dump());
    return Pipeline::open(prompted_sd1({plain}, folder.path().string())).draw(small_request({"a.png"})).image;
  };
  const Image own = Pipeline::open(prompted_sd1({plain})).draw(small_request({"a.png"})).image;
  const auto as_it_is = [](const std::string& key) { return key; };
  const auto without_prefix = [](const std::string& key) {
    const std::string prefix = "vision_model.";
    return key.starts_with(prefix) ? key.substr(prefix.size()) : key;
  };
  CHECK((drawn_by(without_prefix, false) == own));
  CHECK((drawn_by(as_it_is, true) == own));
}

TEST_CASE("pictures are prepared as the encoder says, else the model, else CLIP", "[pipeline]") {
  const TempDir folder;
  fs::copy(ip_file("small"), folder / "small", fs::copy_options::recursive);
  fs::copy(golden_path("pipeline/models/sd1"), folder / "sd1", fs::copy_options::recursive);
  ModelChoice choice{.model = (folder / "sd1").string(),
                     .ip_adapter = {(folder / "small/plain_sd1.safetensors").string()},
                     .device = "cpu",
                     .dtype = "fp32"};
  const auto preparation = [&] {
    const ModelDescription model = describe_model(choice.model, "");
    return describe_ip_adapters(choice, model).encoders.front().preparation;
  };
  CHECK((preparation().filter == PillowFilter::bicubic));
  CHECK(preparation().crop_size->front() == 32);
  nlohmann::json index = nlohmann::json::parse(file_contents(folder / "sd1/model_index.json"));
  index["feature_extractor"] = {"transformers", "CLIPImageProcessor"};
  write_file(folder / "sd1/model_index.json", index.dump());
  const fs::path of_model = folder / "sd1/feature_extractor/preprocessor_config.json";
  write_file(of_model, R"({"size": 224, "crop_size": 224, "resample": 2})");  // of another size: the model's own use
  CHECK((preparation().filter == PillowFilter::bicubic));
  write_file(of_model, R"({"size": 40, "crop_size": 32, "resample": 2})");
  CHECK((preparation().filter == PillowFilter::bilinear));
  // Without a crop it suits where it squares whatever it is given.
  write_file(of_model, R"({"size": {"height": 32, "width": 32}, "do_center_crop": false, "resample": 2})");
  CHECK((preparation().filter == PillowFilter::bilinear));
  write_file(of_model, R"({"size": {"shortest_edge": 32}, "do_center_crop": false, "resample": 2})");
  CHECK((preparation().filter == PillowFilter::bicubic));
  const fs::path own = folder / "small/image_encoder/preprocessor_config.json";
  write_file(own, R"({"size": 32, "crop_size": 32, "resample": 1})");
  CHECK((preparation().filter == PillowFilter::lanczos));
  write_file(own, R"({"size": 32, "crop_size": 31})");
  const Pipeline pipeline = Pipeline::open(choice);
  check_error(ErrorKind::model, "is prepared to 31 by 31, and the image encoder takes 32 by 32",
              [&] { pipeline.draw(small_request({"a.png"})); });
  write_file(own, R"({"size": 32, "crop_size": 32, "rescale": 1})");
  check_error(ErrorKind::model, "preprocessor_config.json: rescale", preparation);
}

TEST_CASE("what IP-Adapters, encoders, pictures and scales do not fit is refused before anything is drawn",
          "[pipeline]") {
  const auto refused_model = [](ErrorKind kind, const std::string& fragment, const ModelChoice& choice) {
    check_error(kind, fragment, [&] { Pipeline::check(choice); });
  };
  using enum ErrorKind;
  refused_model(usage, "--ip-adapter: ", prompted_sd1({"small/plane_sd1.safetensors"}));
  refused_model(usage, "did you mean plain_sd1.safetensors?", prompted_sd1({"small/plane_sd1.safetensors"}));
  refused_model(usage, "it is not said which file of it is meant", prompted_sd1({"small"}));
  const TempDir empty;
  ModelChoice of_nothing = prompted_sd1({});
  of_nothing.ip_adapter = {empty.path().string()};
  refused_model(usage, "is a folder without weights", of_nothing);
  refused_model(usage, "--ip-adapter: is empty", {.ip_adapter = {""}});
  refused_model(usage, "--ip-encoder: there is no IP-Adapter", prompted_sd1({}, ip_file("small/image_encoder")));
  refused_model(usage, "--ip-encoder: ", prompted_sd1({plain}, ip_file("nowhere")));
  refused_model(usage, "is no folder", prompted_sd1({plain}, ip_file(plain)));
  refused_model(model, "config.json", prompted_sd1({plain}, golden_path("canny").string()));
  refused_model(model, "different families", prompted_sd1({"wide/plain_xl.bin"}));
  refused_model(model, "takes embeddings of width 20, and the projection_dim of ",
                prompted_sd1({plain}, ip_file("wide/image_encoder")));
  refused_model(model, "takes states of width 32, and the hidden_size of ",
                prompted_sd1({plus}, ip_file("wide/image_encoder")));
  refused_model(model, "PNG picture", prompted_sd1({"a.png"}));
  const TempDir alone;
  fs::copy(ip_file(plus), alone / "plus.bin");
  ModelChoice without_encoder = prompted_sd1({});
  without_encoder.ip_adapter = {(alone / "plus.bin").string()};
  refused_model(usage, "--ip-encoder: IP-Adapters need CLIP's image encoder, and there is no ", without_encoder);

  const auto refused = [](const std::string& fragment, const Paths& adapters, const Paths& pictures,
                          std::vector<double> scales = {}, ErrorKind kind = usage) {
    const CheckedModel checked = Pipeline::check(prompted_sd1(adapters));
    Request request = small_request(pictures);
    request.ip_scale = std::move(scales);
    check_error(kind, fragment, [&] { checked.check(request); });
  };
  refused("--ip-image: there is no IP-Adapter", {}, {"a.png"});
  refused("--ip-scale: there is no IP-Adapter", {}, {}, {1});
  refused("--ip-image: 0 pictures for 1 IP-Adapter", {plain}, {});
  refused("--ip-image: 1 picture for 2 IP-Adapters", {plain, plus}, {"a.png"});
  refused("--ip-image: 3 pictures for 2 IP-Adapters", {plain, plus}, {"a.png", "a.png", "b.png"});
  refused("--ip-scale: 2 values for 1 IP-Adapter", {plain}, {"a.png"}, {1, 2});
  refused("--ip-scale: 3 values for 2 IP-Adapters", {plain, plus}, {"a.png", "b.png"}, {1, 2, 3});
  refused("no-such.png", {plain}, {"no-such.png"}, {}, input);
  Request request = small_request({"thin.png"});
  request.max_pixels = 1000;  // 7 by 61 pixels become 32 by 278
  check_error(input, "too long a shape", [&] { Pipeline::check(prompted_sd1({plain})).check(request); });
}

TEST_CASE("what prompted a picture stands in its file, and draws it again", "[pipeline]") {
  const TempDir folder;
  const ModelChoice choice = prompted_sd1({plain});
  Request request = small_request({"a.png", "b.png"});
  request.ip_scale = {0.75};
  const Picture drawn = Pipeline::open(choice).draw(request);
  save_png(folder / "drawn.png", drawn, choice);
  const Settings read = settings_from_picture(folder / "drawn.png");
  CHECK(read.ip_adapter == choice.ip_adapter);
  CHECK(read.ip_image == request.ip_image);
  CHECK(read.ip_scale == request.ip_scale);
  ModelChoice again = read;
  again.device = "cpu";
  CHECK((Pipeline::open(again).draw(static_cast<const Request&>(read)).image == drawn.image));
}

TEST_CASE("on CUDA pictures prompt as on the CPU, by remembered calls, too", "[pipeline][cuda]") {
  if (no_cuda_device()) return;
  use_exact_fp32();
  const auto networks = [](at::Device device) {
    ModelDescription model = describe_family("sd1");
    model.ip_adapters = describe_ip_adapters(prompted_sd1({plain, plus}), model);
    return networks_of(std::move(model), at::kFloat, device);
  };
  const PipelineNetworks on_cpu = networks(at::kCPU), on_gpu = networks(at::Device("cuda:0"));
  for (const double scale : {1.0, 0.4}) {
    for (const char* second : {"b.png", "c.png"}) {
      Request request = small_request({"a.png", second});
      request.steps = 8;
      request.sampler = "euler";
      request.ip_scale = {scale};
      const at::Tensor expected = draw_tensors(on_cpu, request).pictures;
      CHECK((draw_tensors(on_gpu, request).pictures - expected).abs().max().item<double>() <= tolerance::pixel);
    }
  }
}
