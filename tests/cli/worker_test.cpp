// `--from-file -`: a worker, as a program that drives it sees it; and several of them under one command.
#include <fmt/format.h>
#include <signal.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "jobs/worker_process.hpp"
#include "support/catch.hpp"
#include "support/files.hpp"
#include "support/golden.hpp"
#include "support/process.hpp"
#include "support/temp_dir.hpp"

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

const std::string tiny_model = golden_path("pipeline/models/sd1").string();

std::string bytes_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Every file of a folder, by name.
std::map<std::string, std::string> files_in(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::directory_iterator(folder)) files[entry.path().filename()] = bytes_of(entry.path());
  return files;
}

std::vector<json> answers_in(const std::string& text) {
  std::vector<json> all;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) all.push_back(json::parse(line));
  return all;
}

std::vector<std::string> arguments_of(std::vector<std::string> more) {
  std::vector<std::string> all = {"-m", tiny_model, "--dtype", "fp32", "--device", "cpu"};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

/// sdtorch as a child that is talked to.
class Talk {
 public:
  explicit Talk(std::vector<std::string> arguments)
      : process_(
            {.arguments = std::move(arguments), .environment = {{"OMP_NUM_THREADS", "1"}}, .program = SDTORCH_BINARY}) {
  }

  sdtorch::WorkerProcess& process() { return process_; }

  void say(const std::string& line) { process_.send(line + "\n"); }

  /// The next line; fails the test where none comes.
  std::string line() {
    return wait<std::string>([&] { return process_.line(); });
  }
  json answer() { return json::parse(line()); }
  std::string bytes(size_t count) {
    return wait<std::string>([&] { return process_.bytes(count); });
  }

  /// Its exit code.
  int end() {
    process_.end_input();
    const auto until = std::chrono::steady_clock::now() + patience;
    while (process_.read_more() && std::chrono::steady_clock::now() < until) std::this_thread::sleep_for(pause);
    INFO("it lives on");
    REQUIRE_FALSE(process_.read_more());
    process_.end();
    return process_.exit_code();
  }

 private:
  static constexpr std::chrono::seconds patience{60};
  static constexpr std::chrono::milliseconds pause{10};

  template <typename Value, typename Look>
  Value wait(Look look) {
    const auto until = std::chrono::steady_clock::now() + patience;
    while (std::chrono::steady_clock::now() < until) {
      process_.write_more();
      const bool lives = process_.read_more();
      if (auto found = look()) return *found;
      if (!lives) break;
      std::this_thread::sleep_for(pause);
    }
    std::string said;
    while (const auto error = process_.error_line()) said += *error + "\n";
    FAIL("no answer; it said: " << said);
    return {};
  }

  sdtorch::WorkerProcess process_;
};

/// Processes whose parent is this one.
std::set<pid_t> children_of(pid_t parent) {
  std::set<pid_t> children;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const std::string stat = bytes_of(entry.path() / "stat");
    const size_t end = stat.rfind(')');
    if (end == std::string::npos) continue;
    std::istringstream rest(stat.substr(end + 1));
    std::string state;
    pid_t of = 0;
    rest >> state >> of;
    if (of == parent && state != "Z") children.insert(std::stoi(name));
  }
  return children;
}

}  // namespace

TEST_CASE("a worker answers each line before it reads the next", "[cli]") {
  const TempDir folder;
  Talk worker(arguments_of({"--steps", "1", "--from-file", "-", "--outdir", (folder / "out").string()}));
  worker.say(R"({"id": "first", "prompt": "a house", "seed": 7})");
  const json first = worker.answer();
  CHECK(first.at("id") == "first");
  CHECK(first.at("index") == 0);
  CHECK(first.at("seed") == 7);
  CHECK(first.at("steps") == 1);
  CHECK(first.at("width") == 64);
  CHECK(bytes_of(first.at("path").get<std::string>()).starts_with("\x89PNG"));
  worker.say("");
  worker.say("# nothing");
  worker.say(R"({"prompt": "a tree", "steps": 2, "id": {"any": ["value", null]}})");
  CHECK(worker.answer().at("id") == json::parse(R"({"any": ["value", null]})"));
  // The line's number, where it has no id.
  worker.say(R"({"prompt": "a tree", "batch-count": 3})");
  const json several = worker.answer();
  CHECK(several.at("id") == 5);
  REQUIRE(several.at("pictures").size() == 3);
  CHECK(several.at("path") == several.at("pictures")[0].at("path"));
  CHECK(several.at("pictures")[2].at("seed") == 44);
  CHECK(worker.end() == 0);
  CHECK(files_in(folder / "out").size() == 5);
}

TEST_CASE("a line at fault is answered, and the worker goes on", "[cli]") {
  const TempDir folder;
  Talk worker(arguments_of({"--steps", "1", "--from-file", "-", "--outdir", folder.path().string()}));
  struct Case {
    std::string line, error;
    json id;
    int exit_code;
  };
  const std::vector<Case> cases = {
      {R"({"id": 1, "prompt": "x", "stepz": 3})", "did you mean", 1, 5},
      {R"({"id": 2, "prompt": "x", "steps": "many"})", "steps", 2, 5},
      {R"({"id": 3, "prompt": "x", "width": 33})", "line 3, column 26: --width", 3, 2},
      {R"({"id": 4, "prompt": "x")", "line 4", 4, 5},
      {R"({"id": 5, "prompt": "x", "output": "../x.png"})", "output", 5, 5},
      {R"({"id": 6, "prompt": "x", "output": "x.jpg"})", "output", 6, 5},
      {R"({"id": 7, "prompt": "x", "output": 3})", "output", 7, 5},
      {R"({"id": 8, "prompt": "x", "output": "x.png", "batch-count": 2})", "output", 8, 5},
      {R"({"id": 9, "prompt": "x", "init-img": "missing.png"})", "missing.png", 9, 5},
      {"\"text\"", "must be an object", 10, 5},
      {"{\"prompt\": \"\xff\"}", "line 11", 11, 5},
      {R"({"id": 12, "prompt": "x", "output": "sdtorch.jobs.jsonl\u0000.png"})", "output", 12, 5},
      {"[ ]", "asks for nothing", 13, 5},
      {R"(  {"output": "a.png", "id": 14, "prompt": "x", "steps": 0})", "line 14, column 48: steps", 14, 5},
  };
  for (const Case& one : cases) {
    INFO(one.line);
    worker.say(one.line);
    const json answer = worker.answer();
    INFO(answer.dump());
    CHECK(answer.at("id") == one.id);
    CHECK(answer.at("error").get<std::string>().find(one.error) != std::string::npos);
    CHECK(answer.at("exit_code") == one.exit_code);
  }
  worker.say(R"({"id": "good", "prompt": "x"})");
  CHECK(worker.answer().contains("path"));
  CHECK(worker.end() == 3);
  CHECK(files_in(folder.path()).size() == 1);
}

TEST_CASE("a worker takes a prompt a line, as text, too", "[cli]") {
  const TempDir folder;
  const ProcessResult run =
      run_sdtorch(arguments_of({"--steps", "1", "--from-file", "-"}),
                  {.folder = folder.path(), .input = "\xEF\xBB\xBF# prompts\r\na house\r\n\n[a|b] cat"});
  INFO(run.err);
  CHECK(run.exit_code == 0);
  const auto answers = answers_in(run.out);
  REQUIRE(answers.size() == 2);
  CHECK(answers[0].at("id") == 2);
  CHECK(answers[0].at("prompt") == "a house");
  CHECK(answers[1].at("id") == 4);
  CHECK(answers[1].at("prompt") == "[a|b] cat");
  CHECK(files_in(folder.path()).size() == 2);

  const ProcessResult mixed = run_sdtorch(
      arguments_of({"--steps", "1", "--from-file", "-", "--outdir", "new"}),
      {.folder = folder.path(), .input = "a\n{\"id\": \"x\", \"prompt\": \"b\", \"output\": \"b.png\"}\nc\n"});
  const auto of_mixed = answers_in(mixed.out);
  REQUIRE(of_mixed.size() == 3);
  CHECK(of_mixed[0].at("prompt") == "a");
  CHECK(of_mixed[1].at("id") == "x");
  CHECK(of_mixed[1].at("path") == "new/b.png");
  CHECK(of_mixed[2].at("exit_code") == 5);  // from the first object on
  const ProcessResult named =
      run_sdtorch(arguments_of({"--steps", "1", "--from-file", "-", "--outdir", "newer"}),
                  {.folder = folder.path(), .input = "{\"prompt\": \"b\", \"output\": \"b.png\"}\n"});
  CHECK(named.exit_code == 0);
  CHECK(std::filesystem::exists(folder / "newer" / "b.png"));

  const ProcessResult nothing = run_sdtorch(arguments_of({"--from-file", "-"}), {.folder = folder.path()});
  CHECK(nothing.exit_code == 0);
  CHECK(nothing.out.empty());
}

TEST_CASE("a worker's pictures go where a line says, or come with the answer", "[cli]") {
  const TempDir folder;
  Talk worker(arguments_of({"--steps", "1", "--from-file", "-", "--outdir", folder.path().string()}));
  worker.say(R"({"prompt": "x", "output": "mine.png"})");
  CHECK(worker.answer().at("path") == (folder / "mine.png").string());
  worker.say(R"({"prompt": "x", "output": "-"})");
  const json answer = worker.answer();
  CHECK_FALSE(answer.contains("path"));
  CHECK(worker.bytes(answer.at("bytes").get<size_t>()) == bytes_of(folder / "mine.png"));
  worker.say(R"({"prompt": "y", "output": "mine.png"})");
  worker.answer();
  worker.say(R"({"prompt": "x", "output": "-"})");
  const std::string png = worker.bytes(worker.answer().at("bytes").get<size_t>());
  CHECK(png.starts_with("\x89PNG"));
  CHECK(png != bytes_of(folder / "mine.png"));
  CHECK(worker.end() == 0);
  CHECK(files_in(folder.path()).size() == 1);
}

TEST_CASE("a picture that a run's journal tells of is nobody else's to replace", "[cli]") {
  const TempDir folder;
  write_file(folder / "prompts.txt", "a cat\n");
  const std::string out = (folder / "out").string();
  REQUIRE(run_sdtorch(arguments_of({"--steps", "1", "--from-file", (folder / "prompts.txt").string(), "--outdir", out}))
              .exit_code == 0);
  const std::string picture = "00000-42-a-cat.png", before = bytes_of(folder / "out" / picture);
  Talk worker(arguments_of({"--steps", "1", "--from-file", "-", "--outdir", out}));
  worker.say(R"({"prompt": "x", "output": "00000-42-a-cat.png"})");
  const json answer = worker.answer();
  CHECK(answer.at("exit_code") == 6);
  CHECK(answer.at("error").get<std::string>().find(picture + ": is a run's picture") != std::string::npos);
  worker.say(R"({"prompt": "x", "output": "mine.png"})");
  CHECK(worker.answer().contains("path"));
  CHECK(worker.end() == 3);
  const auto alone = run_sdtorch(arguments_of({"--steps", "1", "-p", "x", "-o", out + "/" + picture}));
  CHECK(alone.exit_code == 6);
  CHECK(bytes_of(folder / "out" / picture) == before);
  CHECK(run_sdtorch(arguments_of({"--steps", "1", "-p", "x", "-o", out + "/mine.png"})).exit_code == 0);
}

TEST_CASE("a list on one line is answered one by one, and one's fault is not the others'", "[cli]") {
  const std::string size = GENERATE("4", "auto");
  const TempDir folder;
  Talk worker(
      arguments_of({"--steps", "1", "--batch-size", size, "--from-file", "-", "--outdir", folder.path().string()}));
  worker.say(R"([{"id": "a", "prompt": "x"}, {"id": "b", "prompt": "x", "steps": 0}, )"
             R"({"id": "c", "prompt": "y", "output": "y.png"}, {"id": "d", "prompt": "z", "output": "y.png"}])");
  worker.process().end_input();
  std::map<std::string, json> answers;
  for (int i = 0; i < 4; ++i) {
    json answer = worker.answer();
    const std::string id = answer.at("id").get<std::string>();
    CHECK(id == std::string(1, static_cast<char>('a' + i)));
    answers[id] = std::move(answer);
  }
  for (const char* good : {"a", "c"}) CHECK(answers[good].contains("path"));
  CHECK(answers["b"].at("error").get<std::string>().find("line 1, column 57: steps: ") != std::string::npos);
  CHECK(answers["d"].at("error").get<std::string>().find("y.png is another picture's of this line") !=
        std::string::npos);
  CHECK(worker.end() == 3);
}

TEST_CASE("SIGTERM ends a worker once the picture in flight is answered", "[cli]") {
  const TempDir folder;
  const auto arguments = arguments_of({"--from-file", "-", "--outdir", folder.path().string()});
  {
    Talk idle(arguments);
    idle.say(R"({"prompt": "x", "steps": 1})");
    idle.answer();
    kill(idle.process().process(), SIGTERM);
    while (idle.process().read_more()) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    CHECK(idle.end() == 143);
  }
  Talk busy(arguments);
  busy.say(R"({"id": "warm", "prompt": "x", "steps": 1})");
  busy.answer();
  busy.say(R"({"id": "long", "prompt": "x", "steps": 300})");
  busy.say(R"({"id": "next", "prompt": "x", "steps": 1})");
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  kill(busy.process().process(), SIGTERM);
  const json answer = busy.answer();
  CHECK(answer.at("id") == "long");
  CHECK(answer.contains("path"));
  CHECK(busy.end() == 143);
  CHECK_FALSE(busy.process().line());
}

TEST_CASE("a worker whose answers nobody takes ends with 6, and one without its model with 4", "[cli]") {
  const TempDir folder;
  const ProcessResult closed = run_sdtorch(arguments_of({"--steps", "1", "--from-file", "-"}),
                                           {.folder = folder.path(), .input = "x\ny\nz\n", .out = "/dev/full"});
  CHECK(closed.exit_code == 6);
  CHECK(files_in(folder.path()).size() == 1);
  fs::create_directory(folder / "empty");
  CHECK(run_sdtorch({"-m", "empty", "--from-file", "-"}, {.folder = folder.path(), .input = "x\n"}).exit_code == 4);
}

TEST_CASE("several devices draw what one draws, byte for byte", "[cli]") {
  const TempDir folder;
  std::ofstream prompts(folder / "p.jsonl");
  for (int i = 0; i < 7; ++i) prompts << fmt::format("{{\"prompt\": \"house {}\", \"seed\": {}}}\n", i, 90 + i);
  prompts
      << R"({"prompt": "a tree", "batch-count": 3, "compat": "a1111", "sampler": "euler_a", "negative-prompt": "x"})"
      << "\n"
      << R"({"prompt": "wide", "width": 96, "cfg-scale": 3.25, "sampler": "euler", "sigmas": [14.6, 3, 0.1, 0]})"
      << "\n";
  prompts.close();
  const auto draw = [&](const std::string& devices, const std::string& outdir, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"-m",       tiny_model, "--dtype",  "fp32", "--steps",     "2",
                                          "--device", devices,    "--outdir", outdir, "--from-file", "p.jsonl"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ProcessResult run = run_sdtorch(arguments, {.folder = folder.path()});
    INFO(run.err);
    CHECK(run.exit_code == 0);
    return run;
  };
  const ProcessResult one = draw("cpu", "one"), two = draw("cpu,cpu", "two");
  const auto expected = files_in(folder / "one"), got = files_in(folder / "two");
  REQUIRE(expected.size() == 12);  // eleven pictures and the journal
  for (const auto& [name, bytes] : expected) {
    INFO(name);
    REQUIRE(got.contains(name));
    if (name.ends_with(".png")) CHECK(got.at(name) == bytes);
  }
  CHECK(got.size() == expected.size());
  CHECK(std::ranges::count(two.out, '\n') == 11);
  CHECK(two.err.find("error") == std::string::npos);

  // What failed before is not drawn by a resumed run; what is there is left alone.
  fs::remove(folder / "two" / "00003-93-house-3.png");
  CHECK(std::ranges::count(draw("cpu,cpu", "two", {"--resume"}).out, '\n') == 1);
  CHECK(files_in(folder / "two").at("00003-93-house-3.png") == expected.at("00003-93-house-3.png"));

  // One picture is the first device's alone.
  const ProcessResult single = run_sdtorch({"-m", tiny_model, "--dtype", "fp32", "--steps", "2", "--device", "cpu,cpu",
                                            "-p", "house 0", "-s", "90", "-o", "single.png"},
                                           {.folder = folder.path()});
  INFO(single.err);
  CHECK(single.exit_code == 0);
  CHECK(bytes_of(folder / "single.png") == expected.at("00000-90-house-0.png"));
}

TEST_CASE("a killed worker's pictures are drawn all the same, and workers die with their parent", "[cli]") {
  const TempDir folder;
  std::ofstream prompts(folder / "p.jsonl");
  for (int i = 0; i < 6; ++i) prompts << fmt::format("{{\"prompt\": \"house\", \"seed\": {}}}\n", i);
  prompts.close();
  const std::vector<std::string> arguments = {"-m",          tiny_model,
                                              "--dtype",     "fp32",
                                              "--steps",     "150",
                                              "--device",    "cpu,cpu",
                                              "--outdir",    (folder / "out").string(),
                                              "--from-file", (folder / "p.jsonl").string()};
  {
    Talk run(arguments);
    run.line();
    const std::set<pid_t> workers = children_of(run.process().process());
    REQUIRE(workers.size() == 2);
    kill(*workers.begin(), SIGKILL);
    for (int i = 1; i < 6; ++i) run.line();
    CHECK(run.end() == 0);
    CHECK(files_in(folder / "out").size() == 7);
    for (const pid_t worker : workers) CHECK(kill(worker, 0) != 0);
  }
  fs::remove_all(folder / "out");
  std::set<pid_t> workers;
  {
    Talk run(arguments);
    run.line();
    workers = children_of(run.process().process());
    REQUIRE(workers.size() == 2);
    kill(run.process().process(), SIGKILL);
    run.end();
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  for (const pid_t worker : workers) CHECK(bytes_of(fmt::format("/proc/{}/cmdline", worker)).empty());
}

TEST_CASE("SIGINT lets several devices finish their pictures, and records them", "[cli]") {
  const TempDir folder;
  std::ofstream prompts(folder / "p.jsonl");
  for (int i = 0; i < 8; ++i) prompts << fmt::format("{{\"prompt\": \"house\", \"seed\": {}}}\n", i);
  prompts.close();
  const auto arguments = [&](std::vector<std::string> more) {
    std::vector<std::string> all = {"-m",          tiny_model,
                                    "--dtype",     "fp32",
                                    "--steps",     "150",
                                    "--device",    "cpu,cpu",
                                    "--outdir",    (folder / "out").string(),
                                    "--from-file", (folder / "p.jsonl").string()};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  Talk run(arguments({}));
  run.line();
  const std::set<pid_t> workers = children_of(run.process().process());
  kill(run.process().process(), SIGINT);
  CHECK(run.end() == 130);
  for (const pid_t worker : workers) CHECK(kill(worker, 0) != 0);
  const size_t drawn = files_in(folder / "out").size();
  CHECK(drawn >= 3);  // a first one, one that was in flight, the journal
  CHECK(drawn < 9);
  Talk rest(arguments({"--resume"}));
  CHECK(rest.end() == 0);
  CHECK(files_in(folder / "out").size() == 9);
}

TEST_CASE("shares of a prompt file are together what one process draws, byte for byte", "[cli]") {
  const TempDir folder;
  std::ofstream prompts(folder / "p.jsonl");
  for (int i = 0; i < 7; ++i) {  // LoRAs alternate, so that lines are not drawn in their order
    const std::string lora =
        golden_path(fmt::format("lora_pictures/sd1_{}.safetensors", i % 2 == 0 ? "a" : "b")).string();
    prompts << nlohmann::json{{"prompt", fmt::format("house {}", i)}, {"seed", 90 + i}, {"lora", {lora}}} << "\n";
  }
  prompts.close();
  const auto draw = [&](const std::string& outdir, std::vector<std::string> more) {
    std::vector<std::string> arguments =
        arguments_of({"--steps", "2", "--from-file", "p.jsonl", "--outdir", outdir, "-q"});
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ProcessResult run = run_sdtorch(arguments, {.folder = folder.path()});
    INFO(run.err);
    CHECK(run.exit_code == 0);
    return std::ranges::count(run.out, '\n');
  };
  CHECK(draw("one", {}) == 7);
  CHECK(draw("shares", {"--shard", "2/3"}) == 2);  // in whatever order
  CHECK(draw("shares", {"--shard", "0/3"}) == 3);
  CHECK(run_sdtorch({"verify", "shares", "--from-file", "p.jsonl"}, {.folder = folder.path()}).exit_code == 3);
  CHECK(draw("shares", {"--shard", "1/3"}) == 2);
  CHECK(draw("shares", {"--shard", "1/3"}) == 0);
  const ProcessResult verify =
      run_sdtorch({"verify", "shares", "--from-file", "p.jsonl", "--join"}, {.folder = folder.path()});
  INFO(verify.err << verify.out);
  CHECK(verify.exit_code == 0);
  CHECK(files_in(folder / "one") == files_in(folder / "shares"));

  setenv("SLURM_ARRAY_TASK_ID", "11", 1), setenv("SDTORCH_SHARDS", "10-12", 1);
  CHECK(draw("auto", {"--shard", "auto"}) == 2);
  unsetenv("SDTORCH_SHARDS");
  const ProcessResult unsure =
      run_sdtorch(arguments_of({"--from-file", "p.jsonl", "--shard", "auto"}), {.folder = folder.path()});
  unsetenv("SLURM_ARRAY_TASK_ID");
  CHECK(unsure.exit_code == 2);
  CHECK(unsure.err.find("SDTORCH_SHARDS") != std::string::npos);
  for (const char* bad : {"3/3", "auto", "x"}) {
    INFO(bad);
    CHECK(run_sdtorch(arguments_of({"--from-file", "p.jsonl", "--shard", bad}), {.folder = folder.path()}).exit_code ==
          2);
  }
}

TEST_CASE("shares that begin at once agree on the seeds that are left to chance", "[cli]") {
  const TempDir folder;
  std::ofstream(folder / "p.jsonl") << R"({"prompt": "a", "seed": -1})"
                                    << "\n"
                                    << R"({"prompt": "b"})"
                                    << "\n";
  std::vector<std::string> runs;
  for (const char* shard : {"0", "1"}) {
    const std::string outdir = fmt::format("out{}", shard);  // neither sees what the other one has written
    const ProcessResult run = run_sdtorch(arguments_of({"--steps", "1", "-s", "-1", "--from-file", "p.jsonl",
                                                        "--outdir", outdir, "--shard", fmt::format("{}/2", shard)}),
                                          {.folder = folder.path()});
    INFO(run.err);
    CHECK(run.exit_code == 0);
    const std::string journal = bytes_of(folder / outdir / fmt::format("sdtorch.jobs.{}-of-2.jsonl", shard));
    runs.push_back(journal.substr(0, journal.find('\n')));
  }
  CHECK(runs[0].size() > 10);
  CHECK(runs[0] == runs[1]);
}
