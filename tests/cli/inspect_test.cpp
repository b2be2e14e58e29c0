#include "cli/inspect.hpp"

#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "io/image.hpp"
#include "pipeline/metadata.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/golden.hpp"
#include "support/pictures.hpp"
#include "support/temp_dir.hpp"

using namespace sdtorch;

TEST_CASE("inspect prints a picture's texts", "[cli]") {
  const TempDir folder;
  Settings request;
  request.prompt = "a boat 海\x1b[2J";
  const Bytes png = encode_png(picture_for(request), request);
  write_file(folder / "a.png", {reinterpret_cast<const char*>(png.data()), png.size()});
  const std::string text = inspect_text({.path = folder / "a.png"});
  CHECK(text.find("parameters:\na boat 海?[2J\nSteps: 20") != std::string::npos);
  CHECK(text.find("sdtorch:\n{") != std::string::npos);
  CHECK(text.find('\x1b') == std::string::npos);
  const nlohmann::json object = nlohmann::json::parse(inspect_text({.path = folder / "a.png", .json = true}));
  CHECK(object["kind"] == "png");
  CHECK(object["request"]["prompt"] == request.prompt);
  CHECK(object["texts"]["parameters"] == parameters_text(request, picture_for(request)));
}

TEST_CASE("inspect counts a model's parameters", "[cli]") {
  const std::filesystem::path demo = std::filesystem::path(SDTORCH_SOURCE_DIR) / "models" / "demo";
  const nlohmann::json object = nlohmann::json::parse(inspect_text({.path = demo, .json = true}));
  CHECK(object["kind"] == "model");
  CHECK(object["components"]["unet"]["class"] == "UNet2DConditionModel");
  CHECK(object["components"]["unet"]["parameters"].get<int64_t>() > 1000);
  CHECK(inspect_text({.path = demo}).find("AutoencoderKL") != std::string::npos);
}

TEST_CASE("inspect names what it cannot read", "[cli]") {
  const TempDir folder;
  write_file(folder / "a.txt", "hello");
  check_error(ErrorKind::model, "a.txt", [&] { inspect_text({.path = folder / "a.txt"}); });
  check_error(ErrorKind::input, "nothing.png", [&] { inspect_text({.path = folder / "nothing.png"}); });
  check_error(ErrorKind::model, "model_index.json", [&] { inspect_text({.path = folder.path()}); });
}

TEST_CASE("inspect does not wait for a named pipe", "[cli]") {
  const TempDir folder;
  for (const char* name : {"pipe", "pipe.ckpt"}) {
    REQUIRE(mkfifo((folder / name).c_str(), 0600) == 0);
    check_error(ErrorKind::model, "is no regular file", [&] { inspect_text({.path = folder / name}); });
  }
  REQUIRE(mkfifo((folder / "pipe.png").c_str(), 0600) == 0);
  check_error(ErrorKind::input, "is no regular file", [&] { inspect_text({.path = folder / "pipe.png"}); });
}
