#include "cli/run.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <iostream>

#include "cli/bench_report.hpp"
#include "cli/options.hpp"
#include "cli/report.hpp"
#include "cli/seeing.hpp"
#include "core/cancel.hpp"
#include "core/device.hpp"
#include "core/interrupt.hpp"
#include "core/kept_memory.hpp"
#include "core/log.hpp"
#include "jobs/bench.hpp"
#include "jobs/contact_sheet.hpp"
#include "jobs/prompt_file.hpp"
#include "jobs/run.hpp"
#include "pipeline/metadata.hpp"

namespace sdtorch {
namespace {

std::vector<Job> jobs_of(const Invocation& invocation) {
  if (invocation.from_file) {
    return read_prompt_file(*invocation.from_file, invocation.settings, std::cin, invocation.from_file_format);
  }
  return {job_of(invocation.settings)};
}

/// Runs it; where a request comes from a picture, its faults are the picture's.
int generate(const Invocation& invocation, int (*run)(const Invocation&)) {
  try {
    return run(invocation);
  } catch (const Error& error) {
    if (invocation.from_image.empty()) throw;
    throw as_error_of_picture(error, invocation.given, invocation.from_image);
  }
}

int generate_command(const Invocation& invocation) {
  if (invocation.seed_drawn) log_info(fmt::format("seed: {}", invocation.settings.seed));
  const std::vector<Job> jobs = jobs_of(invocation);
  check_pages(invocation.seeing, invocation.output, static_cast<size_t>(count_images(jobs)));
  if (invocation.dry_run) {
    check_jobs(jobs, invocation.output);
    log_info(fmt::format("nothing drawn: {} checked", jobs.size() == 1 ? "the request is" : "all requests are"));
    return 0;
  }
  const DeviceStart device(invocation.settings.device, invocation.settings.deterministic);
  ContactSheet sheet;
  ConsoleReporter reporter({.json = invocation.json,
                            .progress = invocation.log_level != LogLevel::quiet,
                            .terminal = isatty(STDERR_FILENO) == 1,
                            .show = invocation.seeing.show,
                            .sheet = invocation.seeing.grid ? &sheet : nullptr});
  try {
    run_jobs(jobs, invocation.output, reporter);
  } catch (const Error& error) {
    reporter.finish();
    if (error.kind() == ErrorKind::jobs_failed) write_pages(invocation.seeing, invocation.output, sheet, reporter);
    throw;
  }
  reporter.finish();
  write_pages(invocation.seeing, invocation.output, sheet, reporter);
  return 0;
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
      watch_for_interrupts();
      print_result(write_gallery(*invocation.seeing.gallery).string() + "\n");
      return 0;
  }
  return 0;
}

}  // namespace sdtorch
