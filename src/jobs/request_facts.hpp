// What decides a picture, in a form that is the same on every machine: what a journal and a resumed run compare.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "jobs/expansion.hpp"
#include "pipeline/settings.hpp"

namespace sdtorch {

/// Whether a setting's value names a file or a folder.
bool names_path(const Setting& setting);

/// What a line of a prompt file may say, by the flags' long names, of one picture: not how many are drawn, nor how many
/// share a call, nor what holds for the whole run. Paths are their last parts, so that a run may move to another
/// machine; what the files hold, FileFingerprints says.
nlohmann::json request_facts(const Settings& settings);

/// What request_facts leaves out of a command line, for who asks for the same again without saying it: paths as they
/// were given, the model's apart, and `sweep` and `wildcards`. Null where there is nothing of the kind.
nlohmann::json given_facts(const Settings& defaults, const Expansion& expansion);

/// What holds for the whole run and decides its pictures: prediction, dtype, quantize and so on, but neither the device
/// nor --deterministic nor paths.
nlohmann::json run_facts(const ModelChoice& choice);

inline constexpr const char *sweep_key = "sweep", *wildcards_key = "wildcards";  // of given_facts

inline constexpr size_t digest_digits = 16;

/// 16 hexadecimal digits: the first half of the SHA-256 of the facts' text is 32 of them, and of 2^32 pictures no two
/// that differ will likely share 16.
std::string digest_of(const nlohmann::json& facts);

/// The same of a text.
std::string digest_of_text(std::string_view text);

/// Where two objects differ, a line a key: `steps: 20, now 30`.
std::string differences(const nlohmann::json& before, const nlohmann::json& now);

}  // namespace sdtorch
