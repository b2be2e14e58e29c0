#include "cli/options.hpp"

#include <algorithm>
#include <sstream>
#include <utility>

#include "diffusion/sampler.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/golden.hpp"
#include "support/temp_dir.hpp"

using namespace sdtorch;

namespace {

Invocation parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "sdtorch");
  return parse_command_line(static_cast<int>(arguments.size()), arguments.data());
}

struct BadLine {
  std::vector<const char*> arguments;
  std::string message;
};

}  // namespace

TEST_CASE("a bare prompt takes every default", "[cli]") {
  const Invocation invocation = parse({"-p", "a boat"});
  CHECK(invocation.command == Command::generate);
  Settings expected;
  expected.prompt = "a boat";
  CHECK(invocation.settings == expected);
  CHECK(invocation.output.output.empty());
  CHECK(invocation.log_level == LogLevel::normal);
}

TEST_CASE("every flag sets its field under all of its names", "[cli]") {
  for (const char* name : {"--steps", "--num-inference-steps", "--ddim_steps"}) {
    CHECK(parse({"-p", "x", name, "30"}).settings.steps == 30);
  }
  for (const char* name : {"--cfg-scale", "--guidance-scale", "--cfg", "--scale"}) {
    CHECK(parse({"-p", "x", name, "1.5"}).settings.cfg_scale == 1.5);
  }
  for (const char* name : {"-m", "--model", "--ckpt"})
    CHECK(parse({"-p", "x", name, "some/dir"}).settings.model == "some/dir");
  for (const char* name : {"--sampler", "--sampling-method"}) {
    CHECK(parse({"-p", "x", name, "Euler"}).settings.sampler == "euler");
  }
  for (const char* name : {"--scheduler", "--schedule"}) {
    CHECK(parse({"-p", "x", name, "Karras"}).settings.scheduler == "karras");
  }
  const Invocation all = parse({"--prompt",
                                "x",
                                "-n",
                                "y",
                                "-s",
                                "18446744073709551615",
                                "-W",
                                "64",
                                "-H",
                                "128",
                                "-b",
                                "4",
                                "--batch-size",
                                "2",
                                "--spacing",
                                "trailing",
                                "--eta",
                                "0.5",
                                "--sampler",
                                "ddim",
                                "--guidance-rescale",
                                "0.7",
                                "--vae",
                                "v",
                                "--device",
                                "cuda:1",
                                "--dtype",
                                "BF16",
                                "--deterministic",
                                "--outdir",
                                "o",
                                "--name",
                                "{index}.png",
                                "--save-steps",
                                "st",
                                "--dump",
                                "d.safetensors",
                                "--json",
                                "-q",
                                "-t",
                                "2",
                                "--dry-run"});
  CHECK(all.settings.negative_prompt == "y");
  CHECK(all.settings.seed == 18446744073709551615u);
  CHECK(all.settings.width == 64);
  CHECK(all.settings.height == 128);
  CHECK(all.settings.batch_count == 4);
  CHECK(all.settings.batch_size == 2);
  CHECK(all.settings.spacing == "trailing");
  CHECK(all.settings.eta == 0.5);
  CHECK(all.settings.guidance_rescale == 0.7);
  CHECK(all.settings.vae == "v");
  CHECK(all.settings.device == "cuda:1");
  CHECK(all.settings.dtype == "bf16");
  CHECK(all.settings.deterministic);
  CHECK(all.output.outdir == "o");
  CHECK(all.output.name == "{index}.png");
  CHECK(all.output.save_steps == "st");
  CHECK(all.output.dump == "d.safetensors");
  CHECK(all.json);
  CHECK(all.dry_run);
  CHECK(all.log_level == LogLevel::quiet);
  CHECK(all.threads == 2);
}

TEST_CASE("control nets pair with their pictures and numbers in order", "[cli]") {
  using Texts = std::vector<std::string>;
  const auto pairs = [](std::vector<const char*> arguments) {
    arguments.insert(arguments.begin(), {"-p", "x"});
    const Settings settings = parse(arguments).settings;
    return std::pair(settings.control_net, settings.control_image);
  };
  CHECK(pairs({"--control-net", "A", "--control-image", "a.png", "--control-net", "B", "--control-image", "b.png"}) ==
        std::pair(Texts{"A", "B"}, Texts{"a.png", "b.png"}));
  CHECK(pairs({"--control-image", "b.png", "--control-net", "A=a.png", "--control-net", "B"}) ==
        std::pair(Texts{"A", "B"}, Texts{"a.png", "b.png"}));
  CHECK(pairs({"--control-net", "A", "--control-net", "B=b=2.png", "--control-image", "a.png"}) ==
        std::pair(Texts{"A", "B"}, Texts{"a.png", "b=2.png"}));
  CHECK(pairs({"--control-net", "A=a.png", "--control-image", "b.png"}) ==
        std::pair(Texts{"A"}, Texts{"a.png", "b.png"}));  // one too many, which the model's check refuses
  const TempDir folder;
  const std::string odd = (folder / "v=1.safetensors").string();
  write_file(odd, "");
  CHECK(pairs({"--control-net", odd.c_str(), "--control-image", "a.png"}) == std::pair(Texts{odd}, Texts{"a.png"}));

  const Settings settings = parse({"-p", "x", "--control-strength", "0.5", "--control-strength", "2", "--control-start",
                                   "0.25", "--control-end", "0.75", "--control-mode", "Prompt", "--control-preprocess",
                                   "canny:50,100", "--control-preprocess", "invert"})
                                .settings;
  CHECK(settings.control_strength == std::vector<double>{0.5, 2});
  CHECK(settings.control_start == std::vector<double>{0.25});
  CHECK(settings.control_end == std::vector<double>{0.75});
  CHECK(settings.control_mode == Texts{"prompt"});
  CHECK(settings.control_preprocess == Texts{"canny:50,100", "invert"});
  for (const char* wrong : {"A=", "=a.png", ""}) {
    check_error(ErrorKind::usage, "--control-net: is empty", [&] { parse({"-p", "x", "--control-net", wrong}); });
  }
  check_error(ErrorKind::usage, "--control-strength: 'much' is not a finite number", [] {
    parse({"-p", "x", "--control-strength", "much"});
  });
  for (const char* flag : {"--control-net=A=-", "--control-image=-"}) {
    check_error(ErrorKind::usage, "--control-image: standard input holds the prompts already", [&] {
      parse({"--from-file", "-", flag});
    });
  }
}

TEST_CASE("any text is a prompt", "[cli]") {
  CHECK(parse({"-p", ""}).settings.prompt.empty());
  CHECK(parse({"--prompt="}).settings.prompt.empty());
  CHECK(parse({"--prompt=", "--steps", "3"}).settings.steps == 3);
  CHECK(parse({"-p", "-foo"}).settings.prompt == "-foo");
  CHECK(parse({"--prompt=-foo"}).settings.prompt == "-foo");
  CHECK(parse({"-p", "--steps"}).settings.prompt == "--steps");
  CHECK(parse({"-p", "--steps="}).settings.prompt == "--steps=");
  CHECK(parse({"-p", "[a,b]"}).settings.prompt == "[a,b]");
  CHECK(parse({"--prompt=[a,b]"}).settings.prompt == "[a,b]");
  CHECK(parse({"-p", "a=b, \"c\" 'd' \\ 海"}).settings.prompt == "a=b, \"c\" 'd' \\ 海");
}

TEST_CASE("levels given outright decide the number of steps", "[cli]") {
  const Settings request = parse({"-p", "x", "--sigmas", "14.6, 3.5,1,0"}).settings;
  CHECK(request.sigmas == std::vector<double>{14.6, 3.5, 1, 0});
  CHECK(request.steps == 3);
  CHECK(parse({"-p", "x", "--steps", "3", "--sigmas", "14.6,3.5,1,0"}).settings.steps == 3);
  CHECK(parse({"-p", "x", "--scheduler", "SGM Uniform"}).settings.scheduler == "sgm_uniform");
  CHECK(parse({"-p", "x", "--sampler", "DPM++ SDE Align Your Steps"}).settings.scheduler == "align_your_steps");
}

TEST_CASE("a sampler's name may say its schedule", "[cli]") {
  const Settings request = parse({"-p", "x", "--sampler", "DPM++ 2M Karras"}).settings;
  CHECK(request.sampler == "dpm++2m");
  CHECK(request.scheduler == "karras");
  CHECK(parse({"-p", "x", "--scheduler", "model", "--sampler", "DPM++ 2M Karras"}).settings.scheduler == "model");
}

TEST_CASE("a seed of -1 is drawn and to be reported", "[cli]") {
  const Invocation first = parse({"-p", "x", "-s", "-1"});
  const Invocation second = parse({"-p", "x", "--seed=-1"});
  CHECK(first.drawn.seed);
  CHECK(first.settings.seed != second.settings.seed);
  CHECK_FALSE(parse({"-p", "x", "-s", "1"}).drawn.seed);
}

TEST_CASE("bad command lines are refused by name", "[cli]") {
  const std::vector<BadLine> lines = {
      {{}, "--prompt: nothing to draw"},
      {{"--steps", "3"}, "--prompt: nothing to draw"},
      {{"-p", "x", "--stesp", "3"}, "--stesp: unknown flag; did you mean --steps?"},
      {{"-p", "x", "--cfgscale=3"}, "--cfgscale: unknown flag; did you mean --cfg-scale?"},
      {{"-p", "x", "--guidance", "3"}, "--guidance: unknown flag; did you mean --guidance-scale?"},
      {{"-p", "x", "--lorra", "f"}, "--lorra: unknown flag; did you mean --lora?"},
      {{"-p", "x", "-Z"}, "-Z: unknown flag"},
      {{"-p", "x", "y"}, "'y': unexpected argument"},
      {{"-p", "x", "--", "--steps"}, "'--steps': unexpected argument"},
      {{"a boat"}, "'a boat': unknown command; a prompt is given by --prompt"},
      {{"inspct", "x"}, "'inspct': unknown command; did you mean inspect?"},
      {{"-p"}, "-p: needs a value"},
      {{"-p", "x", "--steps"}, "--steps: needs a value"},
      {{"-p", "x", "-p", "y"}, "--prompt: given 2 times"},
      {{"-p", "x", "--steps", "3", "--ddim_steps", "4"}, "--steps: given 2 times"},
      {{"-p", "x", "--json=yes"}, "--json: takes no value"},
      {{"-p", "x", "--steps", "0"}, "--steps: must be 1…"},
      {{"-p", "x", "--steps", "-1"}, "--steps: must be 1…"},
      {{"-p", "x", "--steps", "20x"}, "--steps: '20x' is not a whole number"},
      {{"-p", "x", "--steps", "2.0"}, "--steps: '2.0' is not a whole number"},
      {{"-p", "x", "--steps", " 2"}, "--steps: ' 2' is not a whole number"},
      {{"-p", "x", "--steps", ""}, "--steps: '' is not a whole number"},
      {{"-p", "x", "--steps="}, "--steps: '' is not a whole number"},
      {{"-p", "x", "--steps", "99999999999999999999"}, "--steps: "},
      {{"-p", "x", "--steps", "0x10"}, "--steps: '0x10'"},
      {{"-p", "x", "--cfg", "nan"}, "--cfg-scale: 'nan' is not a finite number"},
      {{"-p", "x", "--cfg", "inf"}, "--cfg-scale: 'inf' is not a finite number"},
      {{"-p", "x", "--cfg", "1e999"}, "--cfg-scale: "},
      {{"-p", "x", "--cfg", "7,5"}, "--cfg-scale: '7,5'"},
      {{"-p", "x", "--cfg", "-1"}, "--cfg-scale: must be 0 or more"},
      {{"-p", "x", "-s", "18446744073709551616"}, "--seed: '18446744073709551616'"},
      {{"-p", "x", "-s", "-2"}, "--seed: '-2'"},
      {{"-p", "x", "-s", "1.5"}, "--seed: '1.5'"},
      {{"-p", "x", "-s", "abc"}, "--seed: 'abc'"},
      {{"-p", "x", "-W", "0"}, "--width: must be 1…"},
      {{"-p", "x", "-H", "-8"}, "--height: must be 1…"},
      {{"-p", "x", "-W", "1000000000"}, "--width: must be 1…"},
      {{"-p", "x", "-b", "0"}, "--batch-count: must be 1…"},
      {{"-p", "x", "--batch-size", "0"}, "--batch-size: must be 1…"},
      {{"-p", "x", "--sampler", "eulr"}, "--sampler: no sampler 'eulr'; did you mean euler?"},
      {{"-p", "x", "--sampler", ""}, "--sampler: is empty"},
      {{"-p", "x", "--scheduler", "karas"}, "--scheduler: 'karas' is not a choice; did you mean karras?"},
      {{"-p", "x", "--scheduler", "euler"}, "--scheduler: 'euler' is a sampler; say --sampler euler"},
      {{"-p", "x", "--spacing", "trailng"}, "--spacing: 'trailng' is not a choice; did you mean trailing?"},
      {{"-p", "x", "--sigmas", "5,1,0", "--steps", "3"}, "--steps: is 3, but --sigmas gives the levels of 2"},
      {{"-p", "x", "--sigmas", "5,1,0", "--scheduler", "karras"}, "--scheduler: --sigmas gives the noise levels"},
      {{"-p", "x", "--sigmas", "5,1,0", "--spacing", "leading"}, "--spacing: --sigmas gives the noise levels"},
      {{"-p", "x", "--sigmas", "5,,0"}, "--sigmas: '' is not a finite number"},
      {{"-p", "x", "--sigmas", "5,1,"}, "--sigmas: '' is not a finite number"},
      {{"-p", "x", "--sigmas", "5"}, "--sigmas: expected two levels or more"},
      {{"-p", "x", "--sigmas", "1,5,0"}, "--sigmas: expected descending levels"},
      {{"-p", "x", "--sigmas", "1e999,0"}, "--sigmas: '1e999' is not a finite number"},
      {{"-p", "x", "--eta", "2"}, "--eta: must be 0…1"},
      {{"-p", "x", "--guidance-rescale", "-0.1"}, "--guidance-rescale: must be 0…1"},
      {{"-p", "x", "--device", "gpu"}, "--device: 'gpu' is not a device"},
      {{"-p", "x", "--device", "cuda:"}, "--device: 'cuda:' is not a device"},
      {{"-p", "x", "--device", "cuda:-1"}, "--device: 'cuda:-1' is not a device"},
      {{"-p", "x", "--device", "cuda:999"}, "--device: 'cuda:999' is not a device"},
      {{"-p", "x", "--dtype", "float15"}, "--dtype: 'float15' is not a choice"},
      {{"-p", "x", "-t", "0"}, "--threads: must be 1…1024"},
      {{"-p", "x", "-t", "lots"}, "--threads: must be 1…1024"},
      {{"-p", "x", "-q", "-v"}, "--quiet: does not go with --verbose"},
      {{"-p", "x", "-o", "a.jpg"}, "--output: 'a.jpg' does not end in .png"},
      {{"-p", "x", "-o", ""}, "--output: is empty"},
      {{"-p", "x", "-o", "a.png", "--outdir", "d"}, "--output: does not go with --outdir"},
      {{"-p", "x", "-o", "a.png", "--name", "{index}.png"}, "--output: does not go with --name"},
      {{"-p", "x", "-o", "a.png", "-b", "2"}, "--output: is one file for several pictures"},
      {{"-p", "x", "--outdir", ""}, "--outdir: is empty"},
      {{"-p", "x", "--name", "{sed}.png"}, "--name: unknown field '{sed}'; did you mean seed?"},
      {{"-p", "x", "--name", "../{seed}.png"}, "--name: a name cannot hold a folder"},
      {{"-p", "x", "--name", "{seed}.jpg"}, "--name: '{seed}.jpg' does not end in .png"},
      {{"-p", "x", "--name", "{seed.png"}, "--name: a brace without its other half"},
      {{"-p", "x", "--name", "{seed:x}.png"}, "--name: '{seed:x}' is not a count of digits"},
      {{"-p", "x", "--name", "{slug:05}.png"}, "--name: '{slug}' takes no count of digits"},
      {{"-p", "x", "--dump", "d.pt"}, "--dump: 'd.pt' does not end in .safetensors"},
      {{"-p", "x", "--from-file", "f.txt"}, "--from-file: does not go with --prompt"},
      {{"-p", "x", "--from-file-format", "txt"}, "--from-file-format: there is no --from-file"},
      {{"--from-file", "f", "--from-file-format", "xml"}, "--from-file-format: 'xml' is not a choice"},
      {{"inspect"}, "PATH: what to inspect is missing"},
      {{"inspect", "a", "b"}, "PATH: given 2 times"},
      {{"inspect", "--jsn", "a"}, "--jsn: unknown flag; did you mean --json?"},
      {{"tokenize"}, "TEXT: what to tokenize is missing"},
      {{"init-model"}, "PATH: what to make is missing"},
      {{"init-model", "--family", "sd3", "d"}, "--family: 'sd3' is not a choice; did you mean sd1?"},
      {{"init-model", "--size", "tinny", "d"}, "--size: 'tinny' is not a choice; did you mean tiny?"},
      {{"init-model", "--seed", "-1", "d"}, "--seed: '-1' is not"},
      {{"bench", "-o", "x.png"}, "-o: unknown flag"},
      {{"bench", "--steps", "x"}, "--steps: 'x'"},
  };
  for (const BadLine& line : lines) {
    check_error(ErrorKind::usage, line.message, [&] { parse(line.arguments); });
  }
}

TEST_CASE("a prompt that is not UTF-8 is refused with its offset", "[cli]") {
  check_error(ErrorKind::input, "--prompt: offset 4: the text is not UTF-8", [] { parse({"-p", "bad \xff text"}); });
  check_error(ErrorKind::input, "--negative-prompt: offset 0: ", [] { parse({"-p", "x", "-n", "\xc3"}); });
}

TEST_CASE("sub-commands read their own flags", "[cli]") {
  const Invocation inspect = parse({"inspect", "--json", "a.png"});
  CHECK(inspect.command == Command::inspect);
  CHECK(inspect.inspect.path == "a.png");
  CHECK(inspect.inspect.json);
  const Invocation tokenize = parse({"tokenize", "-m", "dir", "[a,b]", "c", "-", "--", "-d", "--e"});
  CHECK(tokenize.tokenize.texts == std::vector<std::string>{"[a,b]", "c", "-", "-d", "--e"});
  CHECK(tokenize.tokenize.model == "dir");
  const Invocation init =
      parse({"init-model", "--family", "SD2", "--size", "full", "--seed", "7", "--dtype", "fp16", "d"});
  CHECK(init.init_model.family == "sd2");
  CHECK(init.init_model.size == "full");
  CHECK(init.init_model.seed == 7);
  CHECK(init.init_model.dtype == "fp16");
  CHECK(init.init_model.target == "d");
  const Invocation bench = parse({"bench", "--steps", "3", "--json"});
  CHECK(bench.command == Command::bench);
  CHECK(bench.settings.steps == 3);
  CHECK_FALSE(bench.settings.prompt.empty());
  CHECK(bench.json);
}

TEST_CASE("help fits an 80-column terminal and names every flag and sampler", "[cli]") {
  const std::vector<std::pair<std::vector<const char*>, std::vector<std::string>>> pages = {
      {{"--help"}, {"--prompt", "--guidance-rescale", "--from-file", "--name", "--version", "Sampling:", "{index:05}"}},
      {{"-p", "x", "-h"}, {"--prompt"}},
      {{"inspect", "--help"}, {"PATH", "--json"}},
      {{"tokenize", "--help"}, {"TEXT", "--model"}},
      {{"init-model", "-h"}, {"--family", "--size", "--seed", "--dtype"}},
      {{"bench", "--help"}, {"--steps", "--json"}},
  };
  for (const auto& [arguments, words] : pages) {
    const Invocation invocation = parse(arguments);
    CHECK(invocation.command == Command::print);
    for (const std::string& word : words) CHECK(invocation.text.find(word) != std::string::npos);
    std::istringstream lines(invocation.text);
    for (std::string line; std::getline(lines, line);) {
      INFO(line);
      const auto columns = std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xC0) != 0x80; });
      CHECK(columns <= 80);
      CHECK_FALSE(line.ends_with(' '));
    }
  }
  for (const Sampler& sampler : samplers()) {
    CHECK(parse({"--help"}).text.find(sampler.name) != std::string::npos);
  }
}

TEST_CASE("--version names what it is built from", "[cli]") {
  const Invocation invocation = parse({"--version"});
  CHECK(invocation.command == Command::print);
  for (const char* word : {"sdtorch ", "LibTorch ", "CPU", "CUDA"})
    CHECK(invocation.text.find(word) != std::string::npos);
}

TEST_CASE("--from-image takes a picture's request, flags override it", "[cli]") {
  const std::string file = golden_path("io/infotext.png").string();
  const Invocation invocation = parse({"--from-image", file.c_str(), "--steps", "3", "-n", ""});
  const Settings& request = invocation.settings;
  CHECK(request.prompt == "a castle, (stone:1.2)\nby a lake");
  CHECK(request.negative_prompt == "");
  CHECK(request.steps == 3);
  CHECK(request.sampler == "dpm++2m");
  CHECK(request.scheduler == "karras");
  CHECK(request.seed == 18446744073709551615u);
  CHECK(request.width == 640);
  CHECK(request.height == 384);
  const std::string other = golden_path("io/texts.png").string();
  check_error(ErrorKind::input, "carries no request", [&] { parse({"--from-image", other.c_str()}); });
  check_error(ErrorKind::input, "no-such.png", [&] { parse({"--from-image", "no-such.png"}); });
  CHECK(parse({"--from-image", file.c_str(), "--sampler", "ddim"}).settings.scheduler == "model");
}
