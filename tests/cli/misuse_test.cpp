// What cannot be drawn from pictures, and is refused before a model is loaded: exit code and message of each.
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/options.hpp"
#include "io/json.hpp"
#include "sdtorch/pipeline.hpp"
#include "support/catch.hpp"
#include "support/families.hpp"
#include "support/files.hpp"
#include "support/golden.hpp"
#include "support/process.hpp"
#include "support/temp_dir.hpp"

using namespace sdtorch;

namespace {

struct Misuse {
  std::string model;  ///< of support/families.hpp; sd1-9 is for inpainting, sd1-8 for instructions
  std::vector<std::string> flags;
  int exit_code;
  std::string message;
};

const std::string misused_picture = golden_path("inpainting/start.png").string();
const std::string misused_mask = golden_path("inpainting/mask.png").string();
const std::string sd1_net = golden_path("control_nets/nets/net_a").string();
const std::string xl_net = golden_path("control_nets/nets/net_xl").string();

std::vector<Misuse> misuses() {
  const std::string &i = misused_picture, &m = misused_mask;
  const std::vector<std::string> net{"--control-net", sd1_net, "--control-image", i};
  const auto steered = [&](std::vector<std::string> more) {
    more.insert(more.begin(), net.begin(), net.end());
    return more;
  };
  return {
      // a picture to start from
      {"sd1", {"--strength", "0.5"}, 2, "--strength: there is no picture to start from"},
      {"sd1", {"-i", i, "--strength", "1.2"}, 2, "--strength: must be 0…1, is 1.2"},
      {"sd1", {"-i", i, "--strength", "-0.1"}, 2, "--strength: must be 0…1, is -0.1"},
      {"sd1", {"-i", i, "--strength", "nan"}, 2, "--strength: 'nan' is not a finite number"},
      {"sd1", {"-i", i, "--strength", "0"}, 2, "--strength: 0 of 20 steps is none; take 0.05 or more"},
      {"sd1", {"-i", i, "--sampler", "restart"}, 2, "--sampler: restart cannot begin in the middle"},
      {"sd1", {"-i", i, "--resize", "shrink"}, 2, "--resize: 'shrink' is not a choice"},
      {"sd1", {"-i", i, "-W", "41"}, 2, "--width: 41 is not a multiple of 8"},
      {"sd1", {"-i", "none.png"}, 5, "none.png"},
      {"sd1", {"-i", golden_path("inpainting/versions.json").string()}, 5, "versions.json"},
      {"sd1", {"-i", i, "--max-pixels", "100"}, 5, "start.png"},
      {"refiner", {}, 2, "--model: refiner is an SDXL refiner, which draws only the last steps"},
      // a mask
      {"sd1", {"--mask", m}, 2, "--mask: there is no picture to repaint; give --init-img FILE"},
      {"sd1", {"--mask-from-alpha"}, 2, "--mask-from-alpha: there is no picture to repaint"},
      {"sd1", {"-i", i, "--mask", m, "--mask-from-alpha"}, 2, "--mask-from-alpha: --mask gives a mask already"},
      {"sd1", {"-i", i, "--mask-from-alpha"}, 5, "start.png: has no transparency"},
      {"sd1", {"-i", i, "--mask", "none.png"}, 5, "none.png"},
      {"sd1", {"-i", i, "--mask-invert"}, 2, "--mask-invert: there is no mask"},
      {"sd1", {"-i", i, "--mask-blur", "3"}, 2, "--mask-blur: there is no mask"},
      {"sd1", {"-i", i, "--keep-unmasked"}, 2, "--keep-unmasked: there is no mask"},
      {"sd1", {"-i", i, "--inpaint-area", "masked"}, 2, "--inpaint-area: there is no mask"},
      {"sd1", {"-i", i, "--mask", m, "--inpaint-area", "half"}, 2, "--inpaint-area: 'half' is not a choice"},
      {"sd1", {"-i", i, "--mask", m, "--mask-blur", "-1"}, 2, "--mask-blur: must be 0…1000"},
      {"sd1-9", {}, 2, "--mask: sd1-9 is a model for inpainting, which needs one"},
      {"sd1-9", {"-i", i}, 2, "--mask: sd1-9 is a model for inpainting, which needs one"},
      // a larger canvas
      {"sd1", {"--expand", "0,0,8,0"}, 2, "--expand: there is no picture to expand; give --init-img FILE"},
      {"sd1", {"-i", i, "--expand", "8,8,8"}, 2, "--expand: '8,8,8' is not LEFT,TOP,RIGHT,BOTTOM"},
      {"sd1", {"-i", i, "--expand", "0,0,0,0"}, 2, "--expand: 0,0,0,0 grows nothing"},
      {"sd1", {"-i", i, "--expand", "0,0,-8,0"}, 2, "--expand: must be 0…16384, is -8"},
      {"sd1", {"-i", i, "--expand", "0,0,99999,0"}, 2, "--expand: must be 0…16384, is 99999"},
      {"sd1", {"-i", i, "--expand", "0,0,16384,0"}, 2, "--expand: the canvas is 16440 by 40 pixels"},
      {"sd1", {"-i", i, "--expand", "0,0,99,0", "--max-pixels", "3000"}, 2, "--expand: the canvas is 160 by 40 pixels"},
      {"sd1-8", {"-i", i, "--expand", "0,0,8,0"}, 2, "--expand: sd1-8 is a model for InstructPix2Pix, which sees no"},
      // depth
      {"sd1", {"--depth-img", i}, 2, "--depth-img: there is no picture to start from; give --init-img FILE"},
      {"sd1", {"-i", i, "--depth-img", i}, 2, "--depth-img: sd1 is a model for text to image"},
      {"depth", {}, 2, "--init-img: depth is a model for depth to image, which needs a picture"},
      {"depth", {"-i", i, "--mask", m}, 2, "--mask: depth is a model for depth to image, which sees no mask"},
      {"depth", {"-i", i, "--expand", "0,0,8,0"}, 2, "--expand: depth is a model for depth to image, which sees no"},
      {"depth", {"-i", i, "--depth-img", "none.png"}, 5, "none.png"},
      {"depth", {"--hires-scale", "2"}, 2, "--init-img: depth is a model for depth to image, which needs a picture"},
      {"bare-depth", {"-i", i}, 2, "--depth-img: bare-depth is a model for depth to image, and has no estimator"},
      // instructions
      {"sd1", {"-i", i, "--image-cfg-scale", "2"}, 2, "--image-cfg-scale: sd1 is a model for"},
      {"sd1-8", {}, 2, "--init-img: sd1-8 is a model for InstructPix2Pix, which needs a picture"},
      {"sd1-8", {"-i", i, "--strength", "0.5"}, 2, "--strength: sd1-8 is a model for InstructPix2Pix, which starts"},
      {"sd1-8", {"-i", i, "--mask", m}, 2, "--mask: sd1-8 is a model for InstructPix2Pix, which sees no mask"},
      {"sd1-8", {"-i", i, "--image-cfg-scale", "-1"}, 2, "--image-cfg-scale: must be 0 or more"},
      // a second, larger pass
      {"sd1", {"--hires-steps", "3"}, 2, "--hires-steps: there is no second pass; give --hires-scale F"},
      {"sd1", {"--hires-strength", "0.5"}, 2, "--hires-strength: there is no second pass"},
      {"sd1", {"--hires-upscaler", "latent"}, 2, "--hires-upscaler: there is no second pass"},
      {"sd1", {"--hires-scale", "2", "--hires-upscaler", "esrgan"}, 2, "--hires-upscaler: 'esrgan' is not a choice"},
      {"sd1", {"--hires-scale", "0.5"}, 2, "--hires-scale: must be 1…16, is 0.5"},
      {"sd1", {"--hires-scale", "2", "--hires-strength", "1.2"}, 2, "--hires-strength: must be 0…1, is 1.2"},
      {"sd1", {"--hires-scale", "2", "--hires-strength", "0"}, 2, "--hires-strength: 0 draws nothing anew"},
      {"sd1", {"--hires-scale", "2", "--hires-strength", "0.01"}, 2, "are the last of 2000, and the model has 1000"},
      {"sd1", {"--hires-scale", "2", "-i", i}, 2, "--hires-scale: does not go with --init-img"},
      {"sd1", {"--hires-scale", "2", "--sigmas", "9,1,0"}, 2, "--hires-scale: does not go with --sigmas"},
      {"sd1", {"--hires-scale", "2", "--sampler", "restart"}, 2, "--hires-scale: the second pass: --sampler: restart"},
      {"xl", {"--hires-scale", "2", "--refiner", "x"}, 2, "--hires-scale: does not go with --refiner"},
      // pictures that steer
      {"sd1", {"--control-image", i}, 2, "--control-image: there is no control net; give --control-net PATH"},
      {"sd1", {"--control-strength", "1"}, 2, "--control-strength: there is no control net"},
      {"sd1", {"--control-start", "0.1"}, 2, "--control-start: there is no control net"},
      {"sd1", {"--control-end", "0.5"}, 2, "--control-end: there is no control net"},
      {"sd1", {"--control-mode", "prompt"}, 2, "--control-mode: there is no control net"},
      {"sd1", {"--control-preprocess", "canny"}, 2, "--control-preprocess: there is no control net"},
      {"sd1", {"--control-net", sd1_net}, 2, "--control-image: 0 pictures for 1 control net"},
      {"sd1", steered({"--control-image", i}), 2, "--control-image: 2 pictures for 1 control net"},
      {"sd1", steered({"--control-strength", "11"}), 2, "--control-strength: must be 0…10, is 11"},
      {"sd1", steered({"--control-start", "0.6", "--control-end", "0.5"}), 2, "--control-start: 0.6 is not before"},
      {"sd1", steered({"--control-mode", "mine"}), 2, "--control-mode: 'mine' is not a choice"},
      {"sd1", steered({"--control-preprocess", "inpaint"}), 2, "--control-preprocess: inpaint hides what a mask says"},
      {"sd1", {"--control-net", "none", "--control-image", i}, 4, "none"},
      {"sd1", {"--control-net", sd1_net, "--control-image", "none.png"}, 5, "none.png"},
      {"sd1", {"--control-net", xl_net, "--control-image", i}, 4, "net_xl"},
      {"xl", net, 4, "net_a"},
  };
}

std::string misused_depth_model(const std::filesystem::path& made, bool estimates) {
  namespace fs = std::filesystem;
  if (fs::exists(made)) return made.string();
  fs::copy(golden_path("pipeline/models/sd2"), made, fs::copy_options::recursive);
  for (const char* part : {"unet", "scheduler"}) fs::remove_all(made / part);
  fs::copy(golden_path("depth_to_image/model"), made,
           fs::copy_options::recursive | fs::copy_options::overwrite_existing);
  nlohmann::json index = read_json_file(made / "model_index.json", ErrorKind::bug);
  if (!estimates) index.erase("depth_estimator");
  write_file(made / "model_index.json", index.dump());
  return made.string();
}

std::string misused_model(const TempDir& folder, const std::string& name) {
  if (name.ends_with("depth")) return misused_depth_model(folder / name, name == "depth");
  if (name == "refiner") return golden_path("families/models/refiner").string();
  return with_wider_unet(folder, name, name == "sd1-8" ? "instructions" : "inpainting").string();
}

/// What the tool does with its arguments before it loads anything.
void check_arguments(const std::vector<std::string>& arguments) {
  std::vector<const char*> line{"sdtorch"};
  for (const std::string& argument : arguments) line.push_back(argument.c_str());
  const Settings settings = parse_command_line(static_cast<int>(line.size()), line.data()).settings;
  static_cast<void>(Pipeline::check(settings).check(settings));
}

}  // namespace

TEST_CASE("every misuse of a picture mode ends in its message and exit code before a model is loaded", "[cli]") {
  const TempDir folder;
  for (const Misuse& misuse : misuses()) {
    INFO(misuse.model << ": " << misuse.message);
    std::vector<std::string> arguments{"-p", "x", "--device", "cpu", "-m", misused_model(folder, misuse.model)};
    arguments.insert(arguments.end(), misuse.flags.begin(), misuse.flags.end());
    try {
      check_arguments(arguments);
      CHECK(std::string("no error was thrown").empty());
    } catch (const Error& error) {
      INFO("found: " << error.what());
      CHECK(error.exit_code() == misuse.exit_code);
      CHECK(std::string(error.what()).find(misuse.message) != std::string::npos);
    }
  }
}

TEST_CASE("the tool refuses a misused picture with that code, and writes nothing", "[cli]") {
  const TempDir folder;
  const std::string model = golden_path("pipeline/models/sd1").string();
  const ProcessResult result =
      run_sdtorch({"-m", model, "-p", "x", "--mask", misused_mask, "-o", "x.png"}, {.folder = folder.path()});
  CHECK(result.exit_code == 2);
  CHECK(result.out.empty());
  CHECK(result.err.find("error: --mask: there is no picture to repaint") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(folder / "x.png"));
}
