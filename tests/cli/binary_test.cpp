// The tool from outside: streams, exit codes, files.
#include <fmt/ranges.h>
#include <sys/stat.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>

#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/process.hpp"
#include "support/temp_dir.hpp"
#include "weights/state_dict.hpp"

namespace fs = std::filesystem;

namespace {

const std::string tiny = golden_path("pipeline/models/sd1").string();

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::set<std::string> names_in(const fs::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    names.insert(fs::relative(entry.path(), folder).string());
  }
  return names;
}

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> all;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) all.push_back(line);
  return all;
}

bool is_whole_png(const fs::path& path) {
  const std::string bytes = read(path);
  return bytes.starts_with("\x89PNG\r\n\x1a\n") && bytes.ends_with("IEND\xae\x42\x60\x82");
}

/// A quick picture by the tiny model, with more arguments.
std::vector<std::string> quick(std::vector<std::string> more) {
  std::vector<std::string> all = {"-m", tiny,      "-p",   "a red house", "--steps",
                                  "2",  "--dtype", "fp32", "--device",    "cpu"};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

}  // namespace

TEST_CASE("one picture: its path on stdout, the rest on stderr", "[cli]") {
  const TempDir folder;
  const ProcessResult run = run_sdtorch(quick({"-o", "out.png"}), {.folder = folder.path()});
  INFO(run.err);
  REQUIRE(run.exit_code == 0);
  CHECK(run.out == "out.png\n");
  CHECK(run.err != "");
  CHECK(is_whole_png(folder / "out.png"));
  CHECK(names_in(folder.path()) == std::set<std::string>{"out.png"});

  const ProcessResult quiet = run_sdtorch(quick({"-o", "out.png", "-q"}), {.folder = folder.path()});
  CHECK(quiet.exit_code == 0);
  CHECK(quiet.err == "");
}

TEST_CASE("--json prints one object a picture with the documented keys", "[cli]") {
  const TempDir folder;
  const ProcessResult run = run_sdtorch(
      quick({"--json", "-b", "3", "--batch-size", "2", "-s", "5", "--outdir", "made"}), {.folder = folder.path()});
  INFO(run.err);
  REQUIRE(run.exit_code == 0);
  const auto all = lines(run.out);
  REQUIRE(all.size() == 3);
  for (size_t i = 0; i < all.size(); ++i) {
    const nlohmann::json object = nlohmann::json::parse(all[i]);
    std::set<std::string> keys;
    for (const auto& [key, value] : object.items()) keys.insert(key);
    CHECK(keys == std::set<std::string>{"event", "path", "index", "seed", "prompt", "width", "height", "sampler",
                                        "steps", "seconds"});
    CHECK(object["event"] == "image");
    CHECK(object["index"] == i);
    CHECK(object["seed"] == 5 + i);
    CHECK(object["prompt"] == "a red house");
    CHECK(object["width"] == 64);
    CHECK(object["sampler"] == "pndm");
    CHECK(object["steps"] == 2);
    CHECK(is_whole_png(folder / fs::path(object["path"].get<std::string>())));
  }
}

TEST_CASE("pictures in a folder are numbered on, never over what is there", "[cli]") {
  const TempDir folder;
  for (int i = 0; i < 2; ++i) REQUIRE(run_sdtorch(quick({}), {.folder = folder.path()}).exit_code == 0);
  CHECK(names_in(folder.path()) == std::set<std::string>{"00000-42-a-red-house.png", "00001-42-a-red-house.png"});
}

TEST_CASE("a picture's metadata repeats it to the byte, and flags override", "[cli]") {
  const TempDir folder;
  REQUIRE(run_sdtorch(quick({"-o", "a.png", "-s", "18446744073709551615", "-n", "blurry \xC3\xA9\xE2\x82\xAC",
                             "--sampler", "Euler a", "--deterministic"}),
                      {.folder = folder.path()})
              .exit_code == 0);
  const ProcessResult inspect = run_sdtorch({"inspect", "a.png"}, {.folder = folder.path()});
  INFO(inspect.out);
  CHECK(inspect.exit_code == 0);
  for (const char* part :
       {"a red house", "Negative prompt: blurry \xC3\xA9\xE2\x82\xAC", "Steps: 2", "Sampler: Euler a", "CFG scale: 7.5",
        "Seed: 18446744073709551615", "Size: 64x64", "Model: sd1"}) {
    INFO(part);
    CHECK(inspect.out.find(part) != std::string::npos);
  }
  REQUIRE(run_sdtorch({"--from-image", "a.png", "-o", "b.png"}, {.folder = folder.path()}).exit_code == 0);
  CHECK(read(folder / "a.png") == read(folder / "b.png"));
  REQUIRE(run_sdtorch({"--from-image", "a.png", "-s", "1", "-o", "c.png"}, {.folder = folder.path()}).exit_code == 0);
  CHECK(read(folder / "a.png") != read(folder / "c.png"));
}

TEST_CASE("a prompt file is checked whole, then drawn with the model loaded once", "[cli]") {
  const TempDir folder;
  const auto from_file = [&](const std::string& input, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"-m", tiny, "--steps", "1", "--from-file", "prompts", "--outdir", "out"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    std::ofstream(folder / "prompts") << input;
    return run_sdtorch(arguments, {.folder = folder.path()});
  };
  const ProcessResult text = from_file("a house\na tree\n");
  INFO(text.err);
  CHECK(text.exit_code == 0);
  CHECK(lines(text.out).size() == 2);

  const ProcessResult json =
      from_file("{\"prompt\": \"x\", \"width\": 32, \"seed\": 3}\n{\"prompt\": \"y\"}\n", {"--json"});
  INFO(json.err);
  REQUIRE(json.exit_code == 0);
  REQUIRE(lines(json.out).size() == 2);
  CHECK(nlohmann::json::parse(lines(json.out)[0])["width"] == 32);
  CHECK(nlohmann::json::parse(lines(json.out)[1])["width"] == 64);

  const auto before = names_in(folder.path());
  for (const char* bad :
       {"{\"prompt\": \"x\"}\n{\"promt\": \"y\"}\n", "{\"prompt\": \"x\"}\n{\"prompt\": \"y\", \"width\": 33}\n",
        "{\"prompt\": \"x\"}\n{\"prompt\"\n", "fine\nnot \xff UTF-8\n"}) {
    const ProcessResult run = from_file(bad);
    INFO(bad << run.err);
    CHECK(run.exit_code == 5);
    CHECK(run.err.find("line 2") != std::string::npos);
    CHECK(run.out == "");
  }
  const ProcessResult both = from_file("{\"prompt\": \"x\", \"width\": 33}\n{\"prompt\": \"y\", \"height\": 35}\n");
  INFO(both.err);
  CHECK(both.exit_code == 5);
  CHECK(both.err.find("line 1, column 17: --width: 33") != std::string::npos);
  CHECK(both.err.find("line 2, column 17: --height: 35") != std::string::npos);
  CHECK(names_in(folder.path()) == before);
}

TEST_CASE("bad input has its message and its exit code, and writes nothing", "[cli]") {
  const TempDir folder;
  std::ofstream(folder / "not.png") << "not a picture";
  fs::create_directory(folder / "empty");
  struct Case {
    std::vector<std::string> arguments;
    int exit_code;
    const char* message;
  };
  const std::vector<Case> cases = {
      {{}, 2, "prompt"},
      {{"-p"}, 2, "-p: needs a value"},
      {{"-p", "x", "--stps", "3"}, 2, "--steps"},
      {{"-p", "x", "--sampler", "euler_b"}, 2, "euler_a"},
      {{"-p", "x", "--scheduler", "kerras"}, 2, "karras"},
      {{"-p", "x", "--scheduler", "euler"}, 2, "--sampler"},
      {{"-p", "x", "--sampler", "ddim", "--scheduler", "karras"}, 2, "karras"},
      {{"-p", "x", "--sampler", "euler", "--eta", "0.5"}, 2, "--eta"},
      {{"-p", "x", "--steps", "0"}, 2, "--steps"},
      {{"-p", "x", "--steps", "1001"}, 2, "--steps"},
      {{"-p", "x", "--steps", "99999999999999999999"}, 2, "--steps"},
      {{"-p", "x", "--cfg-scale", "nan"}, 2, "--cfg-scale"},
      {{"-p", "x", "-s", "18446744073709551616"}, 2, "--seed"},
      {{"-p", "x", "-W", "65"}, 2, "--width: 65 is not a multiple of 8; use 64 or 72"},
      {{"-p", "x", "-H", "-8"}, 2, "--height"},
      {{"-p", "x", "-W", "1000000000"}, 2, "--width"},
      {{"-p", "x", "-b", "2", "-o", "a.png"}, 2, "--output"},
      {{"-p", "x", "-o", "a.jpg"}, 2, "--output"},
      {{"-p", "x", "--device", "tpu"}, 2, "--device"},
      {{"-p", "x", "--dtype", "int8"}, 2, "--dtype"},
      {{"-p", "x", "-m", "missing"}, 4, "missing"},
      {{"-p", "x", "-m", "empty"}, 4, "model_index.json"},
      {{"-p", "x", "--vae", "missing"}, 2, "missing"},
      {{"-p", "\xff", "-o", "a.png"}, 5, "--prompt: offset 0"},
      {{"-p", "a (b:1.1.1)", "-o", "a.png"}, 5, "--prompt: column 6: the weight '1.1.1' is no number"},
      {{"-p", "x", "--style", "Oil"}, 2, "--style"},
      {{"-p", "x", "--styles", "missing.csv", "--style", "Oil"}, 5, "missing.csv"},
      {{"--from-image", "not.png"}, 5, "not.png"},
      {{"--from-image", "missing.png"}, 5, "missing.png"},
      {{"--from-file", "missing.txt"}, 5, "missing.txt"},
      {{"-p", "x", "-o", "missing/a.png"}, 6, "missing/a.png"},
      {{"-p", "x", "-o", "empty"}, 2, "--output"},
      {{"-p", "x", "--outdir", "not.png"}, 6, "not.png"},
      {{"inspect", "missing.png"}, 5, "missing.png"},
      {{"tokenize", "-m", "missing", "x"}, 4, "missing"},
      {{"init-model", "--family", "sd9", "new"}, 2, "--family"},
      {{"init-model", "--family", "sd1", "not.png"}, 6, "not.png"},
  };
  const auto before = names_in(folder.path());
  for (const Case& bad : cases) {
    std::vector<std::string> arguments = bad.arguments;
    const bool draws = !arguments.empty() && arguments[0] == "-p" && arguments.size() > 1;
    const bool names_model = std::find(arguments.begin(), arguments.end(), "-m") != arguments.end();
    if (draws && !names_model) arguments.insert(arguments.end(), {"-m", tiny});
    const ProcessResult run = run_sdtorch(arguments, {.folder = folder.path()});
    INFO(fmt::format("{}", fmt::join(arguments, " ")) << "\n" << run.err);
    CHECK(run.exit_code == bad.exit_code);
    CHECK(run.err.find("error: ") != std::string::npos);
    CHECK(run.err.find(bad.message) != std::string::npos);
    CHECK(run.out == "");
    CHECK(names_in(folder.path()) == before);
  }
}

TEST_CASE("unknown keys of a model's configs are errors by name, or warnings where asked", "[cli]") {
  const TempDir folder;
  fs::copy(tiny, folder / "model", fs::copy_options::recursive);
  for (const char* part : {"unet/config.json", "vae/config.json", "text_encoder/config.json"}) {
    const fs::path file = folder / "model" / part;
    std::string config = read(file);
    config.insert(config.find('{') + 1, "\"key_to_come\": 3,");
    std::ofstream(file) << config;
    const std::vector<std::string> arguments = {"-m", "model", "-p", "x", "--steps", "1", "-o", "a.png"};
    const ProcessResult refused = run_sdtorch(arguments, {.folder = folder.path()});
    INFO(part << "\n" << refused.err);
    CHECK(refused.exit_code == 4);
    CHECK(refused.err.find("key_to_come") != std::string::npos);
    CHECK_FALSE(fs::exists(folder / "a.png"));
    std::vector<std::string> lenient = arguments;
    lenient.push_back("--ignore-unknown");
    const ProcessResult drawn = run_sdtorch(lenient, {.folder = folder.path()});
    INFO(drawn.err);
    CHECK(drawn.exit_code == 0);
    CHECK(drawn.err.find("warning: ") != std::string::npos);
    CHECK(drawn.err.find(std::string(part) + ": key_to_come: unknown key") != std::string::npos);
    CHECK(is_whole_png(folder / "a.png"));
    fs::remove(folder / "a.png");
    std::ofstream(file) << config.replace(config.find("\"key_to_come\": 3,"), 17, "");
  }
}

TEST_CASE("a picture of an SDXL model is drawn again by one that is told of no sizes", "[cli]") {
  const TempDir folder;
  const std::string xl = golden_path("families/models/xl").string();
  const ProcessResult first =
      run_sdtorch({"-m", xl, "-p", "x", "--steps", "1", "--crop", "8x8", "--target-size", "32x32", "-o", "a.png"},
                  {.folder = folder.path()});
  INFO(first.err);
  REQUIRE(first.exit_code == 0);
  const ProcessResult again =
      run_sdtorch({"--from-image", "a.png", "-m", tiny, "-o", "b.png"}, {.folder = folder.path()});
  INFO(again.err);
  CHECK(again.exit_code == 0);
  CHECK(again.err.find("warning: a.png: crop is left out: ") != std::string::npos);
  CHECK(again.err.find("warning: a.png: target-size is left out: ") != std::string::npos);
  const ProcessResult asked =
      run_sdtorch({"--from-image", "a.png", "-m", tiny, "--crop", "0x0", "-o", "c.png"}, {.folder = folder.path()});
  CHECK(asked.exit_code == 2);
  CHECK(asked.err.find("--crop") != std::string::npos);
}

TEST_CASE("a picture's size that the model cannot draw is the picture's fault", "[cli]") {
  const TempDir folder;
  REQUIRE(run_sdtorch(quick({"-o", "a.png"}), {.folder = folder.path()}).exit_code == 0);
  const std::string xl = golden_path("families/models/xl").string();
  const ProcessResult odd = run_sdtorch({"-m", xl, "-p", "x", "--steps", "1", "-W", "18", "-H", "16", "-o", "b.png"},
                                        {.folder = folder.path()});
  REQUIRE(odd.exit_code == 0);
  const ProcessResult run =
      run_sdtorch({"--from-image", "b.png", "-m", tiny, "-o", "c.png"}, {.folder = folder.path()});
  CHECK(run.exit_code == 5);
  CHECK(run.err.find("b.png: parameters: Size: 18 is not a multiple of 8") != std::string::npos);
}

TEST_CASE("a picture to start from is repeated by its metadata, and noticed when it has changed", "[cli]") {
  const TempDir folder;
  const fs::path start = golden_path("image_to_image/first.png");
  fs::copy_file(start, folder / "start.png");
  const ProcessResult first =
      run_sdtorch(quick({"-i", "start.png", "--strength", "0.9", "-o", "a.png"}), {.folder = folder.path()});
  INFO(first.err);
  REQUIRE(first.exit_code == 0);
  CHECK(first.err.find("are drawn as 64 by 40") != std::string::npos);
  CHECK(read(folder / "a.png").find("Denoising strength: 0.9") != std::string::npos);
  const ProcessResult again = run_sdtorch({"--from-image", "a.png", "-o", "b.png"}, {.folder = folder.path()});
  INFO(again.err);
  CHECK(again.exit_code == 0);
  CHECK(read(folder / "a.png") == read(folder / "b.png"));
  const ProcessResult piped = run_sdtorch(quick({"-i", "-", "--strength", "0.9", "-o", "c.png"}),
                                          {.folder = folder.path(), .input = read(start)});
  INFO(piped.err);
  CHECK(piped.exit_code == 0);
  const ProcessResult twice = run_sdtorch({"-m", tiny, "--from-file", "-", "-i", "-"}, {.folder = folder.path()});
  CHECK(twice.exit_code == 2);
  CHECK(twice.err.find("--init-img: standard input holds the prompts") != std::string::npos);
  fs::copy_file(golden_path("image_to_image/second.png"), folder / "start.png", fs::copy_options::overwrite_existing);
  const ProcessResult changed = run_sdtorch({"--from-image", "a.png", "-o", "d.png"}, {.folder = folder.path()});
  CHECK(changed.exit_code == 5);
  CHECK(changed.err.find("start.png: is not the file that it was") != std::string::npos);
  CHECK_FALSE(fs::exists(folder / "d.png"));
}

TEST_CASE("an interrupt ends within a step, with 130 and nothing half-written", "[cli]") {
  const TempDir folder;
  const ProcessResult run = run_sdtorch({"-p", "a beach", "--steps", "900", "-W", "256", "-H", "256", "-o", "out.png"},
                                        {.folder = folder.path(), .interrupt_after_ms = 2500});
  INFO(run.err);
  CHECK(run.exit_code == 130);
  CHECK(names_in(folder.path()).empty());
}

TEST_CASE("an interrupt is answered at once, and a long step left before its end", "[cli][slow]") {
  const TempDir folder;
  const std::vector<std::string> arguments = {"-p",   "a beach", "--steps", "1",       "-W",   "1024",  "-H",
                                              "1024", "-o",      "out.png", "--dtype", "fp32", "--json"};
  constexpr int asked_after_ms = 2500;
  const ProcessResult whole = run_sdtorch(arguments, {.folder = folder.path()});
  REQUIRE(whole.exit_code == 0);
  std::filesystem::remove(folder / "out.png");
  const ProcessResult run = run_sdtorch(arguments, {.folder = folder.path(), .interrupt_after_ms = asked_after_ms});
  INFO(run.err);
  CHECK(run.exit_code == 130);
  CHECK(run.err.find("interrupted: ends at the next layer; again ends now\n") != std::string::npos);
  CHECK(run.err.ends_with("error: interrupted\n"));
  CHECK(run.answered_after > 0);
  CHECK(run.answered_after < 0.5);
  CHECK(run.seconds < asked_after_ms / 1000.0 + 0.5 * (whole.seconds - asked_after_ms / 1000.0));
  CHECK(names_in(folder.path()).empty());
}

TEST_CASE("an interrupt ends the wait for input, too", "[cli]") {
  const TempDir folder;
  REQUIRE(mkfifo((folder / "prompts.txt").c_str(), 0600) == 0);  // nobody ever writes into it
  // Long enough for a slow start under sanitizers: before main, the signal itself ends the process, without a word.
  const ProcessResult run =
      run_sdtorch({"-m", tiny, "--from-file", "prompts.txt"}, {.folder = folder.path(), .interrupt_after_ms = 6000});
  CHECK(run.exit_code == 130);
  CHECK(run.err == "error: interrupted\n");
  CHECK(names_in(folder.path()) == std::set<std::string>{"prompts.txt"});
}

TEST_CASE("messages do not pass on what a terminal would obey", "[cli]") {
  const ProcessResult run = run_sdtorch({"-p", "x", "-m", "no\x1b]0;pwned\x07such\xc2\x9bmodel"});
  CHECK(run.exit_code == 4);
  CHECK(run.err.find("no?]0;pwned?such?model") != std::string::npos);
}

TEST_CASE("results that cannot be printed are an output error", "[cli]") {
  const TempDir folder;
  const ProcessResult run = run_sdtorch(quick({"-o", "out.png"}), {.folder = folder.path(), .out = "/dev/full"});
  INFO(run.err);
  CHECK(run.exit_code == 6);
  CHECK(is_whole_png(folder / "out.png"));

  const ProcessResult made = run_sdtorch({"init-model", "model"}, {.folder = folder.path(), .out = "/dev/full"});
  INFO(made.err);
  CHECK(made.exit_code == 6);
}

TEST_CASE("--dump writes every stage's tensors under the documented names", "[cli]") {
  const TempDir folder;
  const ProcessResult run = run_sdtorch(quick({"-b", "2", "--outdir", ".", "--dump", "dump.safetensors", "-n", "x"}),
                                        {.folder = folder.path()});
  INFO(run.err);
  REQUIRE(run.exit_code == 0);
  const sdtorch::StateDict dump = sdtorch::load_safetensors(folder / "dump.safetensors");
  const std::map<std::string, std::vector<int64_t>> shapes = {{"tokens", {2, 77}},
                                                              {"uncond_tokens", {2, 77}},
                                                              {"context", {2, 77, 24}},
                                                              {"uncond_context", {2, 77, 24}},
                                                              {"noise", {2, 4, 8, 8}},
                                                              {"timesteps", {3}},
                                                              {"sigmas", {3}},
                                                              {"step.000.latent", {2, 4, 8, 8}},
                                                              {"step.001.latent", {2, 4, 8, 8}},
                                                              {"latent", {2, 4, 8, 8}},
                                                              {"image", {2, 3, 64, 64}}};
  CHECK(dump.size() == shapes.size());
  for (const auto& [name, shape] : shapes) {
    INFO(name);
    REQUIRE(dump.count(name) == 1);
    CHECK(dump.at(name).tensor.sizes() == at::IntArrayRef(shape));
    CHECK(dump.at(name).tensor.scalar_type() == (name.ends_with("tokens") ? at::kLong : at::kFloat));
  }
  CHECK(at::equal(dump.at("step.001.latent").tensor, dump.at("latent").tensor));
}

TEST_CASE("--save-steps writes the picture as it evolves, and an animation", "[cli]") {
  const TempDir folder;
  const ProcessResult run = run_sdtorch(quick({"-o", "out.png", "--save-steps", "steps"}), {.folder = folder.path()});
  INFO(run.err);
  REQUIRE(run.exit_code == 0);
  CHECK(names_in(folder / "steps").count("step-000.png") == 1);
  CHECK(is_whole_png(folder / "steps/step-001.png"));
  const std::string animation = read(folder / "steps/steps.webp");
  CHECK(animation.starts_with("RIFF"));
  CHECK(animation.find("ANIM") != std::string::npos);
}

TEST_CASE("--dry-run checks everything and leaves nothing", "[cli]") {
  const TempDir folder;
  CHECK(run_sdtorch(quick({"-o", "out.png", "--dry-run"}), {.folder = folder.path()}).exit_code == 0);
  CHECK(run_sdtorch(quick({"--outdir", "new", "--dry-run"}), {.folder = folder.path()}).exit_code == 0);
  CHECK(run_sdtorch(quick({"-o", "out.png", "-W", "65", "--dry-run"}), {.folder = folder.path()}).exit_code == 2);
  CHECK(names_in(folder.path()).empty());
}

TEST_CASE("tokenize reads lines and prints the text's own ids", "[cli]") {
  const ProcessResult run = run_sdtorch({"tokenize", "-m", tiny, "--json", "-"}, {.input = "a red house\n\n"});
  INFO(run.err);
  REQUIRE(run.exit_code == 0);
  REQUIRE(lines(run.out).size() == 2);
  const nlohmann::json first = nlohmann::json::parse(lines(run.out)[0]);
  CHECK(first["pieces"] == nlohmann::json({"a</w>", "red</w>", "house</w>"}));
  CHECK(first["ids"].size() == 3);
  CHECK(first["chunks"] == 1);
  CHECK(nlohmann::json::parse(lines(run.out)[1])["ids"].empty());
}

TEST_CASE("a random model of each family is made and drawn with", "[cli]") {
  for (const char* family : {"sd1", "sd2"}) {
    INFO(family);
    const TempDir folder;
    const ProcessResult made =
        run_sdtorch({"init-model", "--family", family, "--size", "tiny", "model"}, {.folder = folder.path()});
    INFO(made.err);
    REQUIRE(made.exit_code == 0);
    const ProcessResult run =
        run_sdtorch({"-m", "model", "-p", "x", "--steps", "2", "-o", "out.png"}, {.folder = folder.path()});
    INFO(run.err);
    CHECK(run.exit_code == 0);
    CHECK(is_whole_png(folder / "out.png"));
  }
}

TEST_CASE("--help and --version go to stdout", "[cli]") {
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{"--help"},
                                                    {"inspect", "--help"},
                                                    {"tokenize", "--help"},
                                                    {"init-model", "--help"},
                                                    {"bench", "--help"}}) {
    const ProcessResult run = run_sdtorch(arguments);
    CHECK(run.exit_code == 0);
    for (const std::string& line : lines(run.out)) {
      INFO(line);
      CHECK(line.size() <= 80 + 2 * static_cast<size_t>(std::count(line.begin(), line.end(), '\xe2')));
    }
  }
  const ProcessResult version = run_sdtorch({"--version"});
  CHECK(version.exit_code == 0);
  for (const char* part : {"sdtorch 0.1.0", "LibTorch 2.", "CUDA"}) {
    CHECK(version.out.find(part) != std::string::npos);
  }
}
