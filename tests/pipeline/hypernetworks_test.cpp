// Hypernetworks in whole pictures, against diffusers with attention of A1111's rule (scripts/goldens/hypernetworks.py).
#include "pipeline/hypernetworks.hpp"

#include <filesystem>

#include "pipeline/resolve.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/families.hpp"
#include "support/golden.hpp"
#include "support/golden_pictures.hpp"
#include "support/pictures.hpp"
#include "support/temp_dir.hpp"

using namespace sdtorch;
namespace fs = std::filesystem;

namespace {

std::string hyper_file(const std::string& name) { return golden_path("hypernetworks/" + name).string(); }

Request hypered(std::vector<std::string> networks, const std::string& prompt = "a house") {
  Request request{.prompt = prompt, .steps = 2};
  request.hypernetwork = std::move(networks);
  return request;
}

}  // namespace

TEST_CASE("hypernetworks draw what diffusers draws with the same layers", "[pipeline]") {
  Models models;
  check_golden_pictures(
      "hypernetworks",
      [&](const nlohmann::json& one) -> const PipelineNetworks& { return models.get(one.at("model"), ""); },
      {{"hypernetwork", "hypernetworks"}});
}

TEST_CASE("a prompt's tag is a hypernetwork of the folder", "[pipeline]") {
  const TempDir folder;
  fs::create_directories(folder / "sub");
  fs::copy_file(hyper_file("sd.pt"), folder / "sub/strange.pt");
  const Pipeline pipeline = Pipeline::open({.model = folder_of_family("sd1").string(),
                                            .hypernetwork_dir = folder.path().string(),
                                            .device = "cpu",
                                            .dtype = "fp32"});
  const auto draw = [&](const Request& request) { return pipeline.draw(request).image; };
  const Image plain = draw(hypered({})), by_flag = draw(hypered({hyper_file("sd.pt") + ":0.5"}));
  CHECK(largest_difference(plain, by_flag) > 1);
  CHECK(largest_difference(draw(hypered({}, "a house<hypernet:strange:0.5>")), by_flag) == 0);
  CHECK(largest_difference(draw(hypered({"strange:0.5"})), by_flag) == 0);
  CHECK(largest_difference(draw(hypered({hyper_file("sd.pt") + ":0"})), plain) == 0);
  CHECK(largest_difference(draw(hypered({}, "a house<hypernet:strange>")), draw(hypered({hyper_file("sd.pt")}))) == 0);
  CHECK_FALSE(can_share_batch(hypered({}), hypered({hyper_file("sd.pt")})));
  CHECK_FALSE(can_share_batch(hypered({}), hypered({}, "a house<hypernet:strange>")));

  const auto refused = [&](const Request& request, const std::string& fragment) {
    INFO(fragment);
    check_error(ErrorKind::usage, fragment, [&] { pipeline.model().check(request); });
  };
  refused(hypered({}, "<hypernet:strang:1>"), "--prompt: <hypernet:strang:1>: there is no hypernetwork 'strang'");
  refused(hypered({}, "<hypernet:strange:much>"), "--prompt: <hypernet:strange:much>: 'much' is no weight");
  refused(hypered({}, "<hypernet:strange:1:2>"), "a name and a weight were expected");
  fs::copy_file(hyper_file("sd.pt"), folder / "strange.pt");
  refused(hypered({"strange"}), "--hypernetwork: 'strange' may be 2 files");
}

TEST_CASE("misused hypernetworks end in a message before anything is drawn", "[pipeline]") {
  const ModelDescription model = describe_family("sd1");
  const auto refused = [&](ErrorKind kind, const Request& request, const std::string& fragment) {
    INFO(fragment);
    check_error(kind, fragment, [&] { resolve(model, request); });
  };
  refused(ErrorKind::usage, hypered({hyper_file("sd1.pt")}), "--hypernetwork: there is no file");
  refused(ErrorKind::usage, hypered({hyper_file("sd.pt") + ":x"}), "'x' is no weight; a number, as 0.8");
  refused(ErrorKind::usage, hypered({hyper_file("sd.pt") + ":nan"}), "'nan' is no weight");
  refused(ErrorKind::model, hypered({hyper_file("normed.pt")}),
          "normed.pt: is for layers of width 6, and the model has such of width 16, 24, 32");
  refused(ErrorKind::model, hypered({hyper_file("outputs.safetensors")}), "no hypernetwork");
  refused(ErrorKind::usage, hypered({}, "<hypernet:a:1>"), "give --hypernetwork-dir DIR");
  CHECK_THROWS_WITH(HypernetworkShelf("nowhere"), Catch::Contains("--hypernetwork-dir: 'nowhere' is no folder"));
}

TEST_CASE("a hypernetwork goes together with what else acts in the attention layers", "[pipeline]") {
  const Pipeline pipeline =
      Pipeline::open({.model = folder_of_family("sd1").string(), .device = "cpu", .dtype = "fp32"});
  const std::vector<std::function<void(Request&)>> kinds = {
      [](Request& r) { r.pag_scale = 2; }, [](Request& r) { r.sag_scale = 1; }, [](Request& r) { r.tome = {0.5}; },
      [](Request& r) { r.tgate = 1; }, [](Request& r) { r.deep_cache = {2}; }};
  for (const auto& kind : kinds) {
    std::vector<Request> batch(2, hypered({hyper_file("sd.pt"), hyper_file("mixing.pt") + ":0.5"}));
    batch[1].seed = 5;
    batch[1].prompt = std::string(400, 'a');
    for (Request& request : batch) kind(request);
    const std::vector<Picture> together = pipeline.draw(batch);
    Request plain = batch[0];
    plain.hypernetwork.clear();
    CHECK(largest_difference(together[0].image, pipeline.draw(plain).image) > 1);
    for (size_t i = 0; i < batch.size(); ++i) {
      CHECK(largest_difference(together[i].image, pipeline.draw(batch[i]).image) <= 1);
    }
  }
}
