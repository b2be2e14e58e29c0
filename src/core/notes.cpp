#include "core/notes.hpp"

#include <algorithm>

namespace sdtorch {
namespace {

thread_local NoteScope* current_scope = nullptr;

}  // namespace

NoteScope::NoteScope() : before_(current_scope) { current_scope = this; }

NoteScope::~NoteScope() { current_scope = before_; }

void add_note(const std::string& note) {
  if (!current_scope) return;
  std::vector<std::string>& notes = current_scope->notes_;
  if (std::ranges::find(notes, note) == notes.end()) notes.push_back(note);
}

}  // namespace sdtorch
