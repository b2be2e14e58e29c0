#include "jobs/picture_writer.hpp"

#include <chrono>
#include <new>
#include <thread>
#include <utility>

#include "core/device.hpp"
#include "core/error.hpp"
#include "core/kept_memory.hpp"
#include "core/own_thread.hpp"
#include "io/atomic_file.hpp"
#include "io/sha256.hpp"
#include "jobs/journal.hpp"
#include "jobs/output_folder.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;

/// The next pictures' networks may hold all memory that there is, and do so for moments only.
std::vector<std::byte> encode_patiently(const Picture& picture, const ModelChoice& choice) {
  constexpr int most_tries = 40;
  constexpr std::chrono::milliseconds between_tries(250);
  for (int tries = 1;; ++tries) {
    try {
      return encode_png(picture, choice);
    } catch (const std::bad_alloc&) {
      if (tries == most_tries) throw;
    }
    release_kept_memory();
    std::this_thread::sleep_for(between_tries);
  }
}

}  // namespace

std::future<std::vector<std::byte>> png_of(Picture picture, const ModelChoice& choice) {
  auto encode = [picture = std::move(picture), &choice] { return encode_patiently(picture, choice); };
  if (leaves_cores_idle(at::Device(choice.device))) return in_own_thread(std::move(encode));
  return std::async(std::launch::deferred, std::move(encode));
}

PictureWriter::PictureWriter(const OutputOptions& output, std::optional<int64_t> first_index,
                             std::vector<PictureNames> planned)
    : file_(output.output),
      folder_(output.outdir),
      names_(name_template_of(output)),
      first_index_(first_index),
      planned_(std::move(planned)) {
  if (!file_.empty()) {
    check_file(file_);
  } else {
    make_folder(folder_);
    if (!first_index_) next_ = next_index(folder_, names_);
  }
}

WrittenPicture PictureWriter::write(const Picture& picture, const ModelChoice& choice, int64_t number,
                                    std::span<const std::byte> png) {
  std::vector<std::byte> encoded;
  if (png.empty()) png = encoded = encode_png(picture, choice);
  WrittenPicture written{.path = file_, .sha256 = sha256(png), .bytes = png.size()};
  if (file_.empty()) {
    written.path = write_new(picture, choice, number, png);
  } else {
    check_unrecorded(file_);  // a run may have taken the name meanwhile
    write_file_atomically(file_, png);
  }
  return written;
}

fs::path PictureWriter::write_new(const Picture& picture, const ModelChoice& choice, int64_t number,
                                  std::span<const std::byte> png) {
  const bool counts_on = !first_index_ && names_.has_index();
  const auto at = static_cast<size_t>(number);
  const PictureNames planned = at < planned_.size() ? planned_[at] : PictureNames();
  int64_t attempt = 0;
  for (;;) {
    const int64_t index = first_index_ ? *first_index_ + number : next_;
    const std::string name = names_.fill(index, picture, choice);
    attempt = attempt == 0 ? attempt_of(planned.first, name).value_or(1) : attempt + planned.stride;
    fs::path path = folder_ / numbered(name, counts_on ? 1 : attempt);
    std::error_code error;
    const bool taken = fs::exists(fs::symlink_status(path, error)) || !write_new_file_atomically(path, png);
    next_ += counts_on;
    if (!taken) return path;
  }
}

}  // namespace sdtorch
