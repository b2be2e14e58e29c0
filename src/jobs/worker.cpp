#include "jobs/worker.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <future>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <span>
#include <utility>

#include "core/error.hpp"
#include "core/interrupt.hpp"
#include "io/json.hpp"
#include "jobs/automatic_batch.hpp"
#include "jobs/checked_models.hpp"
#include "jobs/drawer.hpp"
#include "jobs/journal.hpp"
#include "jobs/json_keys.hpp"
#include "jobs/output_folder.hpp"
#include "jobs/output_names.hpp"
#include "jobs/picture_writer.hpp"
#include "jobs/prompt_faults.hpp"
#include "jobs/prompt_lines.hpp"
#include "text/prompt/syntax_error.hpp"

namespace sdtorch {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* input_name = "<stdin>";
constexpr std::string_view byte_order_mark_of_input = "\xEF\xBB\xBF";

/// One request of a line, and what becomes of it.
struct Asked {
  Json id{};
  std::string output{};  ///< "-", a file name, or empty
  std::vector<Job> jobs{};
  std::vector<Json> pictures{};  ///< drawn
  std::string bytes{};           ///< that follow the answer
  std::vector<std::string> warnings{};
  std::optional<Error> error{};

  bool names_file() const { return !output.empty() && output != "-"; }
};

/// A worker's own keys of an object.
Asked own_keys_of(const nlohmann::json& object, size_t number) {
  Asked asked{.id = number};
  if (!object.is_object()) return asked;
  if (const auto id = object.find("id"); id != object.end()) asked.id = *id;
  const auto output = object.find("output");
  if (output == object.end()) return asked;
  const std::string place = fmt::format("line {}: output", number);
  asked.output = output->is_string() ? output->get<std::string>() : output->dump();
  const auto ends_name = [](unsigned char c) { return c < ' ' || c == '/' || c == '\x7f'; };
  const bool is_name = std::ranges::none_of(asked.output, ends_name) && is_picture_name(asked.output);
  if (asked.output != "-" && !is_name) {
    asked.error = Error(ErrorKind::input,
                        {.file = input_name,
                         .place = place,
                         .reason = fmt::format("{} is no name of a PNG file in the output folder", asked.output),
                         .hint = "give NAME.png, or - for the picture itself"});
  }
  return asked;
}

double rounded(double seconds) { return std::round(seconds * 1000) / 1000; }

class Worker {
 public:
  Worker(ArrivingLines& lines, const WorkerOptions& options)
      : lines_(lines), options_(options), json_(options.json.value_or(false)) {
    models_.get(options.choice);
    check_folder(options.output.outdir);
  }

  int run() {
    // A line that waits already says best what is to be opened.
    if (!lines_.has_more()) drawer_.open(options_.choice);
    watch_for_interrupts(InterruptEnds::pictures);
    for (size_t number = 1;; ++number) {
      std::vector<Asked> asked;
      try {
        auto line = lines_.next();
        if (!line) break;
        if (number == 1 && line->starts_with(byte_order_mark_of_input)) line->erase(0, byte_order_mark_of_input.size());
        asked = read(*line, number);
      } catch (const Error& error) {
        if (ends_worker(error)) throw;
        asked.assign(1, {.id = number, .error = error});
      }
      draw(asked);
      for (const Asked& one : asked) answer(one);
      throw_if_told_to_end();
    }
    return failed_ ? static_cast<int>(ErrorKind::jobs_failed) : 0;
  }

 private:
  static bool ends_worker(const Error& error) {
    return error.kind() == ErrorKind::interrupted || error.kind() == ErrorKind::terminated;
  }

  /// What a line asks for; nothing where it is to be passed over.
  std::vector<Asked> read(const std::string& line, size_t number) {
    const std::string_view content = without_blanks(line);
    const bool empty = content.empty() || content.starts_with('#');
    if (!options_.json && !json_) json_ = begins_as_object(content) || begins_as_list(content);
    std::vector<Asked> all;
    if (!json_) {
      Asked asked{.id = number, .jobs = options_.read(line, number, 1)};
      if (!asked.jobs.empty()) all.push_back(std::move(asked));
    } else if (!empty && !content.starts_with('[')) {
      all.push_back(read_object(parse(content, number), content, number, column_in(line, content)));
    } else if (!empty) {
      const nlohmann::json list = parse(content, number);
      if (list.empty()) fail(ErrorKind::input, input_name, fmt::format("line {}", number), "asks for nothing");
      std::set<std::string> outputs;
      size_t column = column_in(line, content), before = 0;
      const std::vector<JsonPiece> pieces = json_elements(content);
      for (size_t i = 0; i < list.size(); ++i) {
        const auto [offset, size] = pieces.at(i);
        column += column_of(content.substr(before, offset - before), offset - before) - 1;
        before = offset;
        all.push_back(read_object(list[i], content.substr(offset, size), number, column));
        refuse_same_output(all.back(), outputs, number);
      }
    }
    return all;
  }

  static bool begins_as_list(std::string_view content) {
    return content.starts_with('[') && begins_as_object(without_blanks(content.substr(1)));
  }

  static size_t column_in(const std::string& line, std::string_view part) {
    return column_of(line, static_cast<size_t>(part.data() - line.data()));
  }

  /// One of a list, whose picture would take the place of another one's. outputs: of those before it.
  static void refuse_same_output(Asked& last, std::set<std::string>& outputs, size_t number) {
    if (!last.names_file() || last.error || outputs.insert(last.output).second) return;
    last.error = Error(ErrorKind::input, {.file = input_name,
                                          .place = fmt::format("line {}: output", number),
                                          .reason = fmt::format("{} is another picture's of this line", last.output)});
  }

  static nlohmann::json parse(std::string_view content, size_t number) {
    return parse_json(content, input_name, ErrorKind::input,
                      {.max_bytes = ArrivingLines::longest, .first_line = number});
  }

  /// text: the object's own, which begins at `column` of its line.
  Asked read_object(const nlohmann::json& object, std::string_view text, size_t number, size_t column) {
    Asked asked = own_keys_of(object, number);
    if (asked.error) return asked;
    try {
      if (!object.is_object()) {
        fail(ErrorKind::input, input_name, fmt::format("line {}", number),
             fmt::format("must be an object, is {}", object.type_name()));
      }
      asked.jobs = options_.read(text, number, column);
      if (asked.jobs.empty()) fail(ErrorKind::input, input_name, fmt::format("line {}", number), "asks for nothing");
      if (!asked.output.empty() && count_images(asked.jobs) != 1) {
        fail(ErrorKind::input, input_name, fmt::format("line {}: output", number), "is one file for several pictures",
             "leave it away");
      }
    } catch (const Error& error) {
      asked.error = error;
    }
    return asked;
  }

  /// What the folder and the model have to say of a request before it is drawn.
  void check(Asked& asked) {
    const auto add = [&](const std::vector<std::string>& lines) {
      for (const std::string& line : lines) {
        if (std::ranges::find(asked.warnings, line) == asked.warnings.end()) asked.warnings.push_back(line);
      }
    };
    const Job* checked = nullptr;
    try {
      if (asked.names_file()) check_unrecorded(options_.output.outdir / asked.output);
      for (const Job& job : asked.jobs) {
        checked = &job;
        add(job.request.warnings());
        add(models_.get(job.choice).check(job.request).warnings);
      }
    } catch (const Error& error) {
      const bool of_line = checked && is_of_line(*checked, error);
      asked.error = of_line ? Error(error.kind(), {.reason = fault_of(*checked, error).text}) : error;
    }
  }

  void draw(std::vector<Asked>& asked) {
    std::vector<Job> jobs;
    std::vector<Asked*> owners;  // of each picture, by its number
    for (Asked& one : asked) {
      if (!one.error) check(one);
      if (one.error) continue;
      owners.insert(owners.end(), static_cast<size_t>(count_images(one.jobs)), &one);
      jobs.insert(jobs.end(), one.jobs.begin(), one.jobs.end());
    }
    Batches batches(jobs, {}, [this](const Job& job) { return automatic_.size_for(job); });
    // The memory that is free is told when the model is there.
    if (!jobs.empty() && jobs.front().choice == options_.choice) drawer_.open(options_.choice);
    for (Batch batch = batches.next(); !batch.pictures.empty(); batch = batches.next()) {
      draw(batch, 0, batch.pictures.size(), owners);
    }
  }

  /// Some pictures of a batch; what fails is drawn in halves, down to the picture that fails.
  void draw(const Batch& batch, size_t begin, size_t end, const std::vector<Asked*>& owners) {
    // What is wrong with the model itself is no line's fault.
    if (*batch.choice == options_.choice) drawer_.open(*batch.choice);
    try {
      throw_if_told_to_end();
      draw_together(batch, begin, end, owners);
    } catch (const Error& error) {
      if (end - begin > 1 && !ends_worker(error)) {
        if (error.kind() == ErrorKind::memory) automatic_.did_not_fit(static_cast<int64_t>(end - begin));
        const size_t middle = begin + (end - begin) / 2;
        draw(batch, begin, middle, owners);
        return draw(batch, middle, end, owners);
      }
      for (size_t i = begin; i < end; ++i) owners[static_cast<size_t>(batch.numbers[i])]->error = error;
    }
  }

  void draw_together(const Batch& batch, size_t begin, size_t end, const std::vector<Asked*>& owners) {
    const auto at = [&](size_t place) { return batch.pictures.begin() + static_cast<std::ptrdiff_t>(place); };
    const std::vector<Request> requests(at(begin), at(end));
    const auto start = std::chrono::steady_clock::now();
    const DrawnBatch drawn = drawer_.draw(*batch.choice, requests, {});
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    std::vector<std::future<std::vector<std::byte>>> files;
    for (const Picture& picture : drawn.pictures) files.push_back(png_of(picture, *drawn.choice));
    for (size_t i = 0; i < drawn.pictures.size(); ++i) {
      Asked& owner = *owners[static_cast<size_t>(batch.numbers[begin + i])];
      try {
        keep(drawn.pictures[i], *drawn.choice, files[i].get(), owner,
             seconds.count() / static_cast<double>(drawn.pictures.size()));
      } catch (const Error& error) {
        owner.error = error;
      }
    }
  }

  /// Puts a picture where it is to go.
  void keep(const Picture& picture, const ModelChoice& choice, const std::vector<std::byte>& png, Asked& owner,
            double seconds) {
    Json facts = Json::object();
    if (owner.output == "-") {
      owner.bytes.assign(reinterpret_cast<const char*>(png.data()), png.size());
      facts["bytes"] = png.size();
    } else if (owner.output.empty()) {
      if (!writer_) writer_.emplace(options_.output);
      facts["path"] = writer_->write(picture, choice, index_, png).path.string();
    } else {
      make_folder(options_.output.outdir);
      const std::filesystem::path file = options_.output.outdir / owner.output;
      facts["path"] = PictureWriter({.output = file}).write(picture, choice, index_, png).path.string();
    }
    facts["index"] = index_++;
    facts["seed"] = picture.request.seed;
    facts["prompt"] = picture.request.prompt;
    facts["width"] = picture.image.width;
    facts["height"] = picture.image.height;
    facts["sampler"] = picture.sampler;
    facts["steps"] = picture.request.steps;
    facts["seconds"] = rounded(seconds);
    if (!picture.notes.empty()) facts["notes"] = picture.notes;
    owner.pictures.push_back(std::move(facts));
  }

  void answer(const Asked& asked) {
    Json object = {{"id", asked.id}};
    if (asked.error) {
      failed_ = true;
      object["error"] = asked.error->what();
      object["exit_code"] = asked.error->exit_code();
    } else {
      object.update(asked.pictures.front());
    }
    if (!asked.warnings.empty()) object["warnings"] = asked.warnings;
    if (asked.pictures.size() > 1 || (asked.error && !asked.pictures.empty())) object["pictures"] = asked.pictures;
    std::string line = object.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
    if (!asked.error) line += asked.bytes;
    options_.answer(line);
  }

  ArrivingLines& lines_;
  const WorkerOptions& options_;
  bool json_;  ///< from here on lines are
  CheckedModels models_{};
  Drawer drawer_{models_};
  AutomaticBatch automatic_{models_};
  std::optional<PictureWriter> writer_{};
  int64_t index_ = 0;
  bool failed_ = false;
};

}  // namespace

int run_worker(ArrivingLines& lines, const WorkerOptions& options) { return Worker(lines, options).run(); }

}  // namespace sdtorch
