// What was done otherwise than it was asked for, so that memory sufficed or numbers stayed finite.
#pragma once

#include <string>
#include <vector>

namespace sdtorch {

/// Collects the notes of this thread for as long as it lives, instead of one that was there before.
class NoteScope {
 public:
  NoteScope();
  NoteScope(const NoteScope&) = delete;
  NoteScope& operator=(const NoteScope&) = delete;
  ~NoteScope();

  /// Each different one once, in the order in which they came.
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  friend void add_note(const std::string& note);

  std::vector<std::string> notes_{};
  NoteScope* before_;
};

/// Tells the scope of this thread; where there is none, nobody.
void add_note(const std::string& note);

}  // namespace sdtorch
