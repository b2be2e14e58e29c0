#include "jobs/run.hpp"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <utility>

#include "core/error.hpp"
#include "core/interrupt.hpp"
#include "core/log.hpp"
#include "io/atomic_file.hpp"
#include "io/folder_lock.hpp"
#include "jobs/automatic_batch.hpp"
#include "jobs/checked_models.hpp"
#include "jobs/devices.hpp"
#include "jobs/drawer.hpp"
#include "jobs/journal.hpp"
#include "jobs/output_folder.hpp"
#include "jobs/pooled_drawing.hpp"
#include "jobs/previews.hpp"
#include "jobs/prompt_faults.hpp"
#include "jobs/publisher.hpp"
#include "jobs/run_plan.hpp"
#include "jobs/step_pictures.hpp"
#include "jobs/tensor_dump.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;

/// What has room for one picture, or one prompt, only.
void check_single(const std::vector<Job>& jobs, const OutputOptions& output) {
  if (count_images(jobs) != 1) {
    if (!output.output.empty()) refuse("--output", "names one file for several images", "use --outdir");
    if (!output.save_steps.empty()) refuse("--save-steps", "follows one image, not several", "draw one at a time");
  }
  if (jobs.size() != 1 && !output.dump.empty()) refuse("--dump", "takes one prompt, not several", "draw one at a time");
}

bool reads_standard_input(const Request& request) {
  const auto is_input = [](const std::string& file) { return file == "-"; };
  return is_input(request.init_img) || is_input(request.mask) || is_input(request.depth_img) ||
         std::ranges::any_of(request.control_image, is_input) || std::ranges::any_of(request.ip_image, is_input);
}

/// What stays in one process.
void check_workers(const std::vector<Job>& jobs, const RunOptions& options) {
  if (options.devices.size() < 2 || count_images(jobs) == 1) return;
  if (!options.output.dump.empty()) refuse("--dump", "shows what one device does", "name one by --device");
  if (options.output.preview_every > 0) {
    refuse("--preview-every", "shows what one device draws", "name one by --device");
  }
  for (const Job& job : jobs) {
    if (reads_standard_input(job.request)) {
      refuse("--device", "several devices cannot take a picture from standard input", "name its file");
    }
  }
}

bool keeps_journal(const RunOptions& options) { return !options.prompt_file.empty() && options.output.output.empty(); }

/// What makes sense with a journal only.
void check_journal_flags(const RunOptions& options) {
  if (keeps_journal(options)) return;
  const char* hint = "give --from-file and --outdir";
  if (options.resume) refuse("--resume", "goes on with a prompt file's run in a folder", hint);
  if (options.shard) refuse("--shard", "is a share of a prompt file's pictures in a folder", hint);
  if (options.wait) refuse("--wait", "waits for a prompt file's run in a folder", hint);
}

void check_places(const OutputOptions& output) {
  if (output.output.empty()) {
    check_folder(output.outdir);
  } else {
    check_file(output.output);
    check_unrecorded(output.output);
  }
  if (!output.dump.empty()) check_file(output.dump);
  if (!output.save_steps.empty()) check_folder(output.save_steps);
  check_previews(output);
}

/// Each job against its model, before anything is drawn. What is wrong with lines of a prompt file is told together,
/// with the faults that were found before. Returns what is known of their pictures.
CheckedPictures check_requests(CheckedModels& models, const std::vector<Job>& jobs, const RunOptions& options) {
  CheckedPictures pictures;
  std::vector<LineFault> faults = options.faults;
  const NameTemplate names(name_template_of(options.output));
  std::set<std::string> said;  // each warning once
  for (const Job& job : jobs) {
    try {
      const auto checked = models.get(job.choice).check(job.request);
      add_pictures(pictures, job, checked, names);
      for (const std::string& line : checked.warnings) {
        if (!said.insert(line).second) continue;
        log_warning_once(job.source.empty() ? line : fmt::format("{}: {}", job.source, line));
      }
    } catch (const Error& error) {
      if (!is_of_line(job, error)) throw;
      faults.push_back(fault_of(job, error));
    }
  }
  if (!faults.empty()) throw_faults(std::move(faults));
  return pictures;
}

struct CheckedRun {
  CheckedModels models{};
  CheckedPictures pictures{};
};

/// All checks of a run, short of its weights.
CheckedRun check_run(const std::vector<Job>& jobs, const RunOptions& options) {
  check_single(jobs, options.output);
  check_workers(jobs, options);
  check_journal_flags(options);
  CheckedRun run;
  try {
    run.models.get(jobs.front().choice);
  } catch (const Error&) {  // no line's fault: it can wait for those
    if (options.faults.empty()) throw;
    throw_faults(options.faults);
  }
  run.pictures = check_requests(run.models, jobs, options);
  check_places(options.output);
  return run;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Whether another picture may do better than the one that this befell.
bool concerns_picture(ErrorKind kind) {
  return kind == ErrorKind::usage || kind == ErrorKind::input || kind == ErrorKind::memory ||
         kind == ErrorKind::non_finite || kind == ErrorKind::bug;
}

/// A folder's journal, and where in it the run stands.
struct JournalledRun {
  explicit JournalledRun(const RunOptions& options) : journal(options.output.outdir, options.shard, options.wait) {}

  Journal journal;
  RunPlan plan{};
  std::map<int64_t, std::string> done_before{};  ///< names of the pictures that need not be drawn again, by number

  /// The journal of a run that has ended is one that all ways lead to. A share's is put in order when they are joined.
  void end(const std::optional<Shard>& shard) {
    try {
      if (!shard) journal.put_in_order();
    } catch (const Error& error) {  // nothing is lost, and another run puts it in order
      log_warning(fmt::format("the journal stays in the order of drawing: {}", error.what()));
    }
  }
};

/// Locks the folder, reads what it holds, and writes down that the run begins.
std::unique_ptr<JournalledRun> begin_journal(CheckedRun& checked, const std::vector<Job>& jobs,
                                             const RunOptions& options) {
  if (!keeps_journal(options)) return nullptr;
  RunRecord record = record_of(checked.models, jobs, options, std::move(checked.pictures.digests));
  const fs::path& folder = options.output.outdir;
  make_folder(folder);
  auto run = std::make_unique<JournalledRun>(options);
  remove_abandoned_files(folder);
  FolderJournals known = read_journals(folder, journal_name_of(options.shard));
  const auto is_new = [](const RunRecord& one, const std::vector<RunRecord>& runs) {
    return std::ranges::find(runs, one) == runs.end();
  };
  for (;;) {
    run->plan = plan_run(record, checked.pictures.names, known.all, options);
    if (!is_new(run->plan.run, known.own_runs)) break;
    // Another prompt file's share may have taken the same numbers meanwhile: then once more.
    std::optional<FolderLock> alone;
    bool has_news = false;
    if (options.shard) {
      alone.emplace(folder, options.wait);
      const FolderJournals before = std::exchange(known, read_journals(folder, journal_name_of(options.shard)));
      has_news = std::ranges::any_of(known.all.runs, [&](const auto& one) { return is_new(one, before.all.runs); });
    }
    if (has_news) continue;
    run->journal.add(run->plan.run);
    break;
  }
  for (const PictureRecord& found : run->plan.found) run->journal.add(found);
  const auto note = [&](const PictureRecord& picture) {
    const int64_t number = picture.index - run->plan.run.first_index;
    const bool ours = number >= 0 && number < std::ssize(run->plan.wanted) &&
                      !run->plan.wanted[static_cast<size_t>(number)] && (!options.shard || options.shard->has(number));
    if (ours) run->done_before.emplace(number, picture.path);
  };
  for (const auto& [index, picture] : known.all.pictures) note(picture);
  for (const PictureRecord& found : run->plan.found) note(found);
  return run;
}

/// The places to write to, and how far the run has come.
class Run {
 public:
  /// journalled: none where no journal is kept.
  Run(CheckedModels& models, JournalledRun* journalled, const RunOptions& options, Reporter& reporter, int64_t total)
      : models_(models),
        drawer_(models),
        automatic_(models),
        journalled_(journalled),
        options_(options),
        reporter_(reporter),
        total_(total),
        publisher_(PictureWriter(options.output, first_index(),
                                 journalled ? journalled->plan.names : std::vector<PictureNames>()),
                   [this](const DrawnPicture& drawn, const WrittenPicture& written) { record(drawn, written); }) {
    if (!options.output.save_steps.empty()) steps_.emplace(options.output.save_steps);
    if (options.output.preview_every > 0) {
      previews_.emplace(preview_file(options.output), options.output.preview_every);
    }
  }

  /// Draws all of them.
  void draw_all(Batches& batches) {
    reporter_.on_loading();
    if (options_.devices.size() > 1 && total_ > 1) return draw_by_devices(batches.next(), batches);
    drawer_.open(batches.next_job()->choice);
    // A file's last picture is finished as the others are.
    const bool several = total_ > 1 || !options_.prompt_file.empty();
    watch_for_interrupts(several ? InterruptEnds::pictures : InterruptEnds::layer);
    Batch batch = batches.next();
    for (Batch next; !batch.pictures.empty(); batch = std::move(next)) {
      next = batches.next();
      draw(batch, next);
    }
  }

  /// How many of a job's pictures share a call where it leaves that open.
  int64_t automatic_size(const Job& job) { return automatic_.size_for(job); }

  /// Waits for what is drawn to be on disk.
  void finish_pictures() {
    report(publisher_.finish());
    report(publisher_.take());  // throws what kept others from being written
  }

  void finish() {
    finish_pictures();
    if (!options_.output.dump.empty()) dump_.save(options_.output.dump);
    if (steps_) steps_->finish();
    throw_if_told_to_end();  // while the last picture was drawn or written
    if (failed_ == 0) return;
    throw Error(ErrorKind::jobs_failed,
                {.reason = fmt::format("{} of {} pictures could not be drawn", failed_, reported_ + failed_),
                 .hint = "the messages above tell why"});
  }

 private:
  /// Draws a batch; what fails for one of its pictures is drawn in halves, down to that picture. next: the batch that
  /// comes after it.
  void draw(const Batch& batch, const Batch& next) {
    try {
      draw_together(batch, next);
    } catch (const Error& error) {
      if (!concerns_picture(error.kind())) throw;
      if (batch.pictures.size() == 1) return fail_picture(batch, error);
      if (error.kind() == ErrorKind::memory) {
        log_warning(
            fmt::format("out of memory for {} pictures at once: drawing them in halves", batch.pictures.size()));
        automatic_.did_not_fit(std::ssize(batch.pictures));
      }
      const size_t half = batch.pictures.size() / 2;
      const Batch rest = part(batch, half, batch.pictures.size());
      draw(part(batch, 0, half), rest);
      draw(rest, next);
    }
  }

  /// Has them drawn by a worker a device.
  void draw_by_devices(Batch batch, Batches& batches) {
    WorkerPool pool(worker_setups(options_.devices, *batch.choice, at::get_num_threads(), options_.output.outdir));
    watch_for_interrupts(InterruptEnds::pictures);
    draw_by_workers(pool, std::move(batch), batches,
                    {.begun = [&](const Batch& one) { reporter_.on_batch(one.numbers, total_); },
                     .drawn = [&](const Batch& one, size_t i, const WorkerAnswer& answer) { take(one, i, answer); },
                     .failed =
                         [&](const Batch& one, size_t i, const Error& error) {
                           if (!concerns_picture(error.kind())) throw error;
                           fail_picture(part(one, i, i + 1), error);
                         },
                     .waiting = [&] { report(publisher_.take()); }});
  }

  /// A picture that a worker has drawn.
  void take(const Batch& batch, size_t i, const WorkerAnswer& answer) {
    const CheckedModel& model = models_.get(*batch.choice);
    Picture picture{.request = model.check(batch.pictures[i]).request,
                    .sampler = answer.object.value("sampler", ""),
                    .notes = answer.object.value("notes", std::vector<std::string>())};
    picture.image.width = answer.object.value("width", int64_t{0});
    picture.image.height = answer.object.value("height", int64_t{0});
    const auto bytes = std::as_bytes(std::span(answer.png));
    publisher_.add({.picture = std::move(picture),
                    .choice = &model.choice(),
                    .number = batch.numbers[i],
                    .seconds = answer.object.value("seconds", 0.0),
                    .png = {bytes.begin(), bytes.end()}});
    report(publisher_.take());
  }

  /// Tells of the pictures that are on disk by now.
  void report(std::vector<PublishedPicture> published) {
    for (PublishedPicture& one : published) {
      ++reported_;
      reporter_.on_image({.path = std::move(one.path),
                          .index = one.drawn.number,
                          .request = std::move(one.drawn.picture.request),
                          .sampler = std::move(one.drawn.picture.sampler),
                          .width = one.drawn.picture.image.width,
                          .height = one.drawn.picture.image.height,
                          .seconds = one.drawn.seconds});
    }
  }

  std::optional<int64_t> first_index() const {
    return journalled_ ? std::optional(journalled_->plan.run.first_index) : std::nullopt;
  }

  const std::string& request_digest(int64_t number) const {
    return journalled_->plan.run.requests[static_cast<size_t>(number)];
  }

  /// In the publisher's thread.
  void record(const DrawnPicture& drawn, const WrittenPicture& written) {
    if (!journalled_) return;
    journalled_->journal.add(PictureRecord{.index = *first_index() + drawn.number,
                                           .path = written.path.filename().string(),
                                           .sha256 = written.sha256,
                                           .bytes = written.bytes,
                                           .request = request_digest(drawn.number),
                                           .notes = drawn.picture.notes});
  }

  void draw_together(const Batch& batch, const Batch& next) {
    throw_if_told_to_end();
    reporter_.on_batch(batch.numbers, total_);
    const auto start = std::chrono::steady_clock::now();
    DrawnBatch drawn = drawer_.draw(*batch.choice, batch.pictures, observer(batch, next));
    throw_if_interrupted();  // one that came while decoding
    const double seconds = seconds_since(start) / static_cast<double>(batch.pictures.size());
    for (size_t i = 0; i < drawn.pictures.size(); ++i) {
      publisher_.add({.picture = std::move(drawn.pictures[i]),
                      .choice = drawn.choice,
                      .number = batch.numbers[i],
                      .seconds = seconds});
    }
    report(publisher_.take());
  }

  /// The one picture of a batch. Throws where it ends the run.
  void fail_picture(const Batch& batch, const Error& error) {
    ++failed_;
    const int64_t number = batch.numbers.front();
    if (journalled_) {
      finish_pictures();  // the journal is the publisher's while it writes
      journalled_->journal.add(FailureRecord{.index = *first_index() + number,
                                             .request = request_digest(number),
                                             .error = error.what(),
                                             .exit_code = error.exit_code()});
    }
    const std::string& source = batch.jobs.front()->source;
    reporter_.on_failed({.index = number,
                         .request = batch.pictures.front(),
                         .source = source,
                         .error = error.what(),
                         .exit_code = error.exit_code(),
                         .ends_run = !options_.keep_going});
    if (options_.keep_going) return;
    if (source.empty()) throw error;
    throw Error(error.kind(), {.file = source, .reason = error.what()});
  }

  static Batch part(const Batch& batch, size_t begin, size_t end) {
    const auto cut = [&](const auto& list) {
      using List = std::decay_t<decltype(list)>;
      return List(list.begin() + static_cast<std::ptrdiff_t>(begin), list.begin() + static_cast<std::ptrdiff_t>(end));
    };
    return {.choice = batch.choice,
            .pictures = cut(batch.pictures),
            .numbers = cut(batch.numbers),
            .jobs = cut(batch.jobs)};
  }

  void preview(const Batch& batch, const Step& step) {
    if (!previews_ || !previews_->add(drawer_.drawing(), step, batch.pictures.front())) return;
    reporter_.on_preview(
        {.path = previews_->file(), .index = batch.numbers.front(), .step = step.index + 1, .steps = step.count});
  }

  Observer observer(const Batch& batch, const Batch& next) {
    Observer observer;
    observer.on_stage = [this, &next](Stage stage) {
      throw_if_interrupted();
      if (stage == Stage::denoise && next.choice) drawer_.read_ahead(*next.choice, next.pictures);
    };
    observer.on_step = [this, &batch](const Step& step) {
      if (steps_) steps_->add(drawer_.drawing(), step, batch.pictures.front());
      report(publisher_.take());
      reporter_.on_step(step);
      preview(batch, step);
    };
    if (!options_.output.dump.empty()) {
      observer.on_tensor = [this](std::string_view name, const at::Tensor& tensor) { dump_.add(name, tensor); };
    }
    return observer;
  }

  CheckedModels& models_;
  Drawer drawer_;
  AutomaticBatch automatic_;
  JournalledRun* journalled_;
  const RunOptions& options_;
  Reporter& reporter_;
  int64_t total_;
  int64_t reported_ = 0, failed_ = 0;
  TensorDump dump_{};
  std::optional<StepPictures> steps_{};
  std::optional<Previews> previews_{};
  Publisher publisher_;
};

}  // namespace

void run_jobs(const std::vector<Job>& jobs, const RunOptions& options, Reporter& reporter) {
  if (jobs.empty()) return;
  CheckedRun checked = check_run(jobs, options);
  const std::unique_ptr<JournalledRun> journalled = begin_journal(checked, jobs, options);
  if (options.drawn.seed) log_info(fmt::format("seed: {}", options.defaults.seed));
  std::vector<bool> wanted = journalled ? journalled->plan.wanted : std::vector<bool>();
  const int64_t total = journalled ? std::ranges::count(wanted, true) : count_images(jobs);
  if (journalled && total < count_images(jobs)) {
    log_info(fmt::format("{} of {} pictures are to be drawn", total, count_images(jobs)));
  }
  if (journalled) {
    for (const auto& [number, name] : journalled->done_before) {
      reporter.on_done_before(number, options.output.outdir / name);
    }
  }
  if (total == 0) {
    if (journalled) journalled->end(options.shard);
    return;
  }
  Run run(checked.models, journalled.get(), options, reporter, total);
  Batches batches(jobs, std::move(wanted), [&run](const Job& job) { return run.automatic_size(job); });
  try {
    run.draw_all(batches);
  } catch (...) {
    run.finish_pictures();  // what is drawn is kept, whatever ended the run
    throw;
  }
  run.finish_pictures();
  if (journalled) journalled->end(options.shard);
  run.finish();
}

void check_jobs(const std::vector<Job>& jobs, const RunOptions& options) {
  if (!jobs.empty()) check_run(jobs, options);
}

}  // namespace sdtorch
