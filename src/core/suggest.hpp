// What somebody may have meant who typed a name that does not exist.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sdtorch {

/// The candidate that takes the fewest edits (insert, delete, replace, swap neighbours) to reach from `name`, case
/// aside, the first of equals; a name cut short (three letters or more) counts as one edit. Empty where even that
/// one takes more edits than half of the longer name's letters.
std::string nearest(std::string_view name, const std::vector<std::string>& candidates);

/// `did you mean NEAREST? (one of A, B, C)`, or without the question where nothing is near.
std::string did_you_mean(std::string_view name, const std::vector<std::string>& candidates);

/// Throws ErrorKind::usage naming the flag for a value that is none of its choices.
void check_choice(std::string_view flag, std::string_view value, const std::vector<std::string>& choices);

/// ASCII letters in lower case, everything else as it is.
std::string ascii_lower(std::string_view text);

}  // namespace sdtorch
