#include "jobs/picture_writer.hpp"

#include <fmt/format.h>

#include "core/error.hpp"
#include "io/atomic_file.hpp"
#include "jobs/output_folder.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;

/// name, name-2, name-3… for names that hold no index.
std::string numbered(const std::string& name, int64_t attempt) {
  if (attempt == 1) return name;
  const fs::path path(name);
  return fmt::format("{}-{}{}", path.stem().string(), attempt, path.extension().string());
}

/// One above the highest index among the folder's names; 0 where there is none.
int64_t next_index(const fs::path& folder, const NameTemplate& names) {
  int64_t next = 0;
  std::error_code error;
  for (fs::directory_iterator entry(folder.empty() ? "." : folder, error), end; !error && entry != end;) {
    const auto index = names.index_in(entry->path().filename().string());
    if (index && *index >= next) next = *index + 1;
    entry.increment(error);
  }
  if (error)
    throw Error(ErrorKind::output, {.file = folder.string(), .reason = "cannot be listed: " + error.message()});
  return next;
}

bool write_new(const fs::path& path, std::span<const std::byte> bytes) {
  AtomicFile file(path);
  file.write(bytes);
  return file.commit_new();
}

}  // namespace

PictureWriter::PictureWriter(const OutputOptions& output)
    : file_(output.output),
      folder_(output.outdir),
      names_(output.name.empty() ? default_name_template : std::string_view(output.name)) {
  if (!file_.empty()) {
    check_file(file_);
  } else {
    make_folder(folder_);
    next_ = next_index(folder_, names_);
  }
}

fs::path PictureWriter::write(const Picture& picture, const ModelChoice& choice) {
  const std::vector<std::byte> png = encode_png(picture, choice);
  if (file_.empty()) return write_next(picture, choice, png);
  write_file_atomically(file_, png);
  return file_;
}

fs::path PictureWriter::write_next(const Picture& picture, const ModelChoice& choice, std::span<const std::byte> png) {
  const bool indexed = names_.has_index();
  for (int64_t attempt = 1;; ++attempt) {
    fs::path path = folder_ / numbered(names_.fill(next_, picture, choice), indexed ? 1 : attempt);
    std::error_code error;
    const bool taken = fs::exists(fs::symlink_status(path, error)) || !write_new(path, png);
    next_ += indexed;
    if (!taken) return path;
  }
}

}  // namespace sdtorch
