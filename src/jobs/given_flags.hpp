// Flags of a request as text, wherever they were written: on the command line, behind a prompt, as a table's column, in
// a sweep.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pipeline/settings.hpp"

namespace sdtorch {

/// A flag and its value.
struct GivenFlag {
  const Setting* setting = nullptr;
  std::string flag{};     ///< as messages name it: "--cfg-scale", or a table's "cfg-scale"
  std::string text{};     ///< of a switch: empty for the flag alone, or yes or no in some words
  size_t column = 1;      ///< where it stands in its line, in characters from 1
  size_t line = 1;        ///< of its file, from 1
  bool verbatim = false;  ///< its text stands there as it is, from that column on
};

/// The setting of a flag in any spelling that the command line takes, with its dashes or without: "--cfg", "cfg", "-s",
/// "s"; nullptr where there is none.
const Setting* setting_of_flag(std::string_view spelling);

/// Whether it is a flag of the run that is no setting: "--outdir", "o".
bool is_run_flag(std::string_view spelling);

/// What somebody may have meant who wrote such a flag, with its dashes: "did you mean --steps?", or nothing.
std::string near_flag(std::string_view spelling);

inline constexpr std::string_view unknown_flag = "unknown flag";

/// Throws ErrorKind::usage naming `flag` for one that is unknown, or that holds for the whole run.
const Setting& flag_of_line(std::string_view spelling, const std::string& flag);

/// Throws ErrorKind::usage for an empty text where there is no empty value.
void check_filled(const Setting& setting, const std::string& flag, const std::string& text);

/// Those of `--control-net NET=PICTURE` name a picture, too: makes flags of both, in an order that pairs them; the nets
/// without one take the pictures of --control-image in their order. Throws ErrorKind::usage for one that is empty.
void pair_control_nets(std::vector<GivenFlag>& given);

/// Other nets and IP-Adapters than a picture's have other pictures and strengths, too: those of `settings` are left out
/// where such flags are given.
void forget_replaced(Settings& settings, const std::vector<GivenFlag>& given);

/// Sets what was given, in the settings' own order; lists take the place of `to`'s. Throws ErrorKind::usage naming the
/// flag.
void apply_flags(Settings& to, const std::vector<GivenFlag>& given);

}  // namespace sdtorch
