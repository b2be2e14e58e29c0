// Several files and folders that appear together.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace sdtorch {

/// A temporary folder beside what is to be made; `commit` puts what lies in it in place, entry by entry, and may
/// replace what is there. Without a commit nothing remains, and nothing was replaced. All failures are
/// ErrorKind::output, naming the final path.
class StagedOutput {
 public:
  /// folder: where the entries will be; made if missing.
  explicit StagedOutput(const std::filesystem::path& folder);
  StagedOutput(const StagedOutput&) = delete;
  StagedOutput& operator=(const StagedOutput&) = delete;
  ~StagedOutput();

  /// Where to write the entry of this name until the commit. Entries are put in place in the order of these calls.
  std::filesystem::path add(const std::string& name);

  /// What is to be gone after the commit, where it is there.
  void remove(const std::string& name) { removed_.push_back(name); }

  /// Where `replace` is false and a name is taken, nothing is put in place. What fails halfway is undone.
  void commit(bool replace);

 private:
  void put_in_place(const std::string& name, bool replace);
  void set_aside(const std::string& name);
  void undo();

  std::filesystem::path folder_, temporary_, aside_;
  std::vector<std::string> names_{}, removed_{}, placed_{}, moved_{};
};

}  // namespace sdtorch
