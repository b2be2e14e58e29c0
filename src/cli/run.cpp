#include "cli/run.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "cli/bench_report.hpp"
#include "cli/options.hpp"
#include "cli/report.hpp"
#include "cli/seeing.hpp"
#include "core/cancel.hpp"
#include "core/device.hpp"
#include "core/error.hpp"
#include "core/free_memory.hpp"
#include "core/interrupt.hpp"
#include "core/kept_memory.hpp"
#include "core/log.hpp"
#include "core/out_of_memory.hpp"
#include "core/standard_streams.hpp"
#include "io/arriving_lines.hpp"
#include "jobs/bench.hpp"
#include "jobs/contact_sheet.hpp"
#include "jobs/devices.hpp"
#include "jobs/drawn_seeds.hpp"
#include "jobs/expansion.hpp"
#include "jobs/prompt_file.hpp"
#include "jobs/prompt_line_reader.hpp"
#include "jobs/run.hpp"
#include "jobs/shard.hpp"
#include "jobs/worker.hpp"
#include "pipeline/metadata.hpp"

namespace sdtorch {
namespace {

/// settings: what every job begins with. faults: takes those of a prompt file's lines.
std::vector<Job> jobs_of_invocation(const Invocation& invocation, const Settings& settings,
                                    std::vector<LineFault>& faults) {
  if (invocation.from_file) {
    return read_prompt_file(*invocation.from_file, settings, std::cin, invocation.from_file_format,
                            invocation.expansion, &faults);
  }
  std::vector<Job> jobs = jobs_of(settings, invocation.expansion);
  check_pictures(jobs);
  if (invocation.expansion.sweep.empty()) return jobs;  // whose warnings have been said
  for (const Job& job : jobs) {
    for (const std::string& line : job.request.warnings()) log_warning_once(line);
  }
  return jobs;
}

/// What a worker's lines become.
std::function<std::vector<Job>(std::string_view, size_t, size_t)> line_reader(const Invocation& invocation) {
  auto reader = std::make_shared<PromptLineReader>(PromptLineReaderOptions{.base = invocation.settings,
                                                                           .name = "<stdin>",
                                                                           .format = invocation.from_file_format,
                                                                           .others = !invocation.from_file_format,
                                                                           .mixed = !invocation.from_file_format,
                                                                           .ids = true,
                                                                           .takes_input = true,
                                                                           .expansion = invocation.expansion});
  return [reader](std::string_view line, size_t number, size_t column) {
    return reader->read(line, number, most_jobs, column);
  };
}

std::optional<Shard> shard_of(const Invocation& invocation) {
  if (invocation.shard.empty()) return std::nullopt;
  const Shard shard = parse_shard(invocation.shard);
  if (invocation.shard == "auto") {
    log_info(fmt::format("--shard auto: {}/{}", shard.index, shard.count));
    check_same_count(invocation.output.outdir, shard);
  }
  return shard;
}

RunOptions run_options(const Invocation& invocation) {
  const bool from_file = invocation.from_file && invocation.from_file != "-";
  return {.output = invocation.output,
          .prompt_file = from_file ? *invocation.from_file : "",
          .expansion = invocation.expansion,
          .defaults = invocation.settings,
          .resume = invocation.resume,
          .wait = invocation.wait,
          .keep_going = invocation.keep_going.value_or(invocation.from_file.has_value()),
          .shard = shard_of(invocation),
          .drawn = invocation.drawn,
          .devices = present_devices(invocation.devices)};
}

/// `--from-file -`: reads lines as they come, and answers them.
int worker_command(const Invocation& invocation) {
  const auto refuse_given = [](bool given, const char* flag) {
    if (given) refuse(flag, "does not go with lines of standard input, which are drawn as they come", "give a file");
  };
  refuse_given(!invocation.output.output.empty(), "--output");
  refuse_given(!invocation.output.save_steps.empty(), "--save-steps");
  refuse_given(!invocation.output.dump.empty(), "--dump");
  refuse_given(invocation.output.preview_every > 0, "--preview-every");
  refuse_given(invocation.seeing.show.has_value(), "--show");
  refuse_given(invocation.seeing.grid.has_value(), "--grid");
  refuse_given(invocation.seeing.gallery.has_value(), "--html");
  refuse_given(invocation.resume, "--resume");
  refuse_given(invocation.wait, "--wait");
  refuse_given(!invocation.shard.empty(), "--shard");
  refuse_given(invocation.keep_going == false, "--fail-fast");
  const DeviceStart device(invocation.settings.device, invocation.settings.deterministic);
  std::optional<bool> as_json;
  if (invocation.from_file_format) as_json = invocation.from_file_format == PromptFormat::jsonl;
  ArrivingLines lines(STDIN_FILENO, "<stdin>", throw_if_told_to_end);
  return run_worker(lines, {.choice = invocation.settings,
                            .output = invocation.output,
                            .json = as_json,
                            .read = line_reader(invocation),
                            .answer = print_result});
}

/// Runs it; where a request comes from a picture, its faults are the picture's.
int generate(const Invocation& invocation, int (*run)(const Invocation&)) {
  // Nothing can be drawn; OpenMP would find no room for a thread, and end the program by itself.
  if (const auto addresses = free_addresses(); addresses && addresses->bytes == 0) fail_out_of_memory();
  try {
    return run(invocation);
  } catch (const Error& error) {
    if (invocation.from_image.empty()) throw;
    throw as_error_of_picture(error, invocation.given, invocation.from_image);
  }
}

/// tried: the seeds that were not the right ones.
int draw_jobs(const Invocation& invocation, std::set<std::string>& tried) {
  RunOptions options = run_options(invocation);
  begin_drawn_seeds(options, tried);
  const std::vector<Job> jobs = jobs_of_invocation(invocation, options.defaults, options.faults);
  check_pages(invocation.seeing, options.output, static_cast<size_t>(count_images(jobs)));
  if (invocation.dry_run) {
    check_jobs(jobs, options);
    log_info(fmt::format("nothing drawn: {} checked", jobs.size() == 1 ? "the request is" : "all requests are"));
    return 0;
  }
  // Where workers draw, each starts its own.
  const bool draws_here = options.devices.size() < 2;
  const DeviceStart device(draws_here ? invocation.settings.device : "cpu", invocation.settings.deterministic);
  ContactSheet sheet;
  ConsoleReporter reporter({.json = invocation.json,
                            .progress = invocation.log_level != LogLevel::quiet,
                            .terminal = stderr_has_cursor(),
                            .show = invocation.seeing.show,
                            .sheet = invocation.seeing.grid ? &sheet : nullptr,
                            .by_devices = !draws_here});
  try {
    run_jobs(jobs, options, reporter);
  } catch (const Error& error) {
    reporter.finish();
    if (error.kind() == ErrorKind::jobs_failed) write_pages(invocation.seeing, options.output, sheet, reporter);
    throw;
  }
  reporter.finish();
  write_pages(invocation.seeing, options.output, sheet, reporter);
  return 0;
}

int generate_command(const Invocation& invocation) {
  if (invocation.from_file == "-" && !invocation.dry_run) {
    if (invocation.drawn.seed) log_info(fmt::format("seed: {}", invocation.settings.seed));
    return worker_command(invocation);
  }
  for (std::set<std::string> tried;;) {
    try {
      return draw_jobs(invocation, tried);
    } catch (const SeedsOutOfDate&) {
    }
  }
}

/// Prints a part's line and waits for the turn to be given back; false where standard input has ended.
bool take_turns(std::string_view part, double seconds) {
  print_result(bench_part_line(part, seconds));
  std::string line;
  return static_cast<bool>(std::getline(std::cin, line));
}

int bench_command(const Invocation& invocation) {
  const DeviceStart device(invocation.settings.device, invocation.settings.deterministic);
  BenchOptions options{.profile = invocation.profile};
  if (invocation.by_turns) options.after_part = take_turns;
  print_result(bench_text(run_bench(invocation.settings, options), invocation.json || invocation.by_turns));
  return 0;
}

}  // namespace

int run_command_line(int argc, const char* const* argv) {
  end_at_interrupts();
  const CancelScope cancel(throw_if_interrupted);
  const Invocation invocation = parse_command_line(argc, argv);
  set_log_level(invocation.log_level);
  use_threads(invocation.threads);
  keep_memory();
  switch (invocation.command) {
    case Command::print:
      print_result(invocation.text);
      return 0;
    case Command::generate:
      return generate(invocation, generate_command);
    case Command::inspect:
      print_result(inspect_text(invocation.inspect));
      return 0;
    case Command::tokenize:
      return tokenize_command(invocation.tokenize, std::cin, std::cout);
    case Command::init_model:
      init_model(invocation.init_model);
      print_result(invocation.init_model.target.string() + "\n");
      return 0;
    case Command::extract_lora:
      extract_lora(invocation.extract_lora);
      print_result(invocation.extract_lora.output.string() + "\n");
      return 0;
    case Command::convert:
      convert_model(invocation.convert);
      print_result(invocation.convert.output.target.string() + "\n");
      return 0;
    case Command::merge:
      merge_models(invocation.merge);
      print_result(invocation.merge.output.target.string() + "\n");
      return 0;
    case Command::bench:
      return generate(invocation, bench_command);
    case Command::gallery:
      watch_for_interrupts(InterruptEnds::layer);
      print_result(write_gallery(*invocation.seeing.gallery).string() + "\n");
      return 0;
    case Command::verify:
      return verify_command(invocation);
  }
  return 0;
}

}  // namespace sdtorch
