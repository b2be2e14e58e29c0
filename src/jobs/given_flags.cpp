#include "jobs/given_flags.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <type_traits>

#include "core/error.hpp"
#include "core/suggest.hpp"

namespace sdtorch {
namespace {

/// Flags of the run beside the settings that somebody may put into a line, each between blanks.
constexpr std::string_view run_flags =
    " -o --output --outdir --name --json -t --threads --dump --save-steps --from-file --from-file-format --from-image "
    "--sweep --wildcards -q --quiet -v --verbose --dry-run --shard --resume --wait --keep-going --fail-fast --preview "
    "--preview-every --show --grid --html ";

using Spellings = std::map<std::string, const Setting*, std::less<>>;

const Spellings& spellings() {
  static const Spellings all = [] {
    Spellings known;
    for (const Setting& setting : settings()) {
      const std::string_view flags = setting.flags;
      for (size_t start = 0; start < flags.size();) {
        const size_t end = std::min(flags.find(", ", start), flags.size());
        known.emplace(flags.substr(start, end - start), &setting);
        start = end + 2;
      }
    }
    return known;
  }();
  return all;
}

std::string with_dashes(std::string_view spelling) {
  if (spelling.starts_with('-')) return std::string(spelling);
  return (spelling.size() == 1 ? "-" : "--") + std::string(spelling);
}

/// Whether `NET=PICTURE` is the name of something that lies there.
bool is_path(const std::string& text) {
  std::error_code ignored;
  return std::filesystem::exists(text, ignored);
}

std::string filled_part(const GivenFlag& given, const std::string& text) {
  if (text.empty()) refuse(given.flag, "is empty");
  return text;
}

bool is_switch(const Setting& setting) { return std::holds_alternative<bool Settings::*>(setting.member); }

void set_switch(Settings& to, const GivenFlag& given) {
  const std::string word = ascii_lower(given.text);
  const auto is_one_of = [&](std::initializer_list<std::string_view> words) {
    return std::ranges::find(words, word) != words.end();
  };
  const bool on = is_one_of({"", "true", "yes", "on", "1"});
  if (!on && !is_one_of({"false", "no", "off", "0"})) {
    refuse(given.flag, fmt::format("'{}' is neither true nor false", given.text));
  }
  to.*std::get<bool Settings::*>(given.setting->member) = on;
}

bool names(const std::vector<GivenFlag>& given, std::string_view name) {
  return std::ranges::any_of(given, [&](const GivenFlag& flag) { return flag.setting->name == name; });
}

}  // namespace

const Setting* setting_of_flag(std::string_view spelling) {
  const auto found = spellings().find(with_dashes(spelling));
  return found == spellings().end() ? nullptr : found->second;
}

bool is_run_flag(std::string_view spelling) {
  return run_flags.find(fmt::format(" {} ", with_dashes(spelling))) != std::string_view::npos;
}

std::string near_flag(std::string_view spelling) {
  std::vector<std::string> names;
  for (const auto& [flag, setting] : spellings()) {
    if (flag.starts_with("--") && setting->scope == SettingScope::picture) names.push_back(flag.substr(2));
  }
  std::string name(spelling.substr(std::min(spelling.find_first_not_of('-'), spelling.size())));
  std::ranges::replace(name, '_', '-');
  const std::string near = nearest(name, names);
  return near.empty() ? "" : fmt::format("did you mean {}{}?", spelling.starts_with('-') ? "--" : "", near);
}

const Setting& flag_of_line(std::string_view spelling, const std::string& flag) {
  const Setting* setting = setting_of_flag(spelling);
  if ((setting && setting->scope == SettingScope::run) || is_run_flag(spelling)) {
    const std::string name = setting ? fmt::format("--{}", setting->name) : with_dashes(spelling);
    refuse(flag, "holds for the whole run, not for a line", fmt::format("give {} on the command line", name));
  }
  if (!setting) refuse(flag, std::string(unknown_flag), near_flag(spelling));
  return *setting;
}

void check_filled(const Setting& setting, const std::string& flag, const std::string& text) {
  const auto says_what_it_takes = []<typename Value>(Value Settings::*) {  // numbers, and switches, which take none
    return std::is_arithmetic_v<Value> || std::is_same_v<Value, std::optional<int64_t>> ||
           std::is_same_v<Value, std::optional<uint64_t>> || std::is_same_v<Value, std::optional<double>>;
  };
  if (text.empty() && !setting.may_be_empty && !std::visit(says_what_it_takes, setting.member)) {
    refuse(flag, "is empty");
  }
}

void pair_control_nets(std::vector<GivenFlag>& given) {
  if (!names(given, "control-net")) return;
  std::vector<GivenFlag> rest, nets, listed, pictures;
  for (GivenFlag& one : given) {
    const std::string_view name = one.setting->name;
    (name == "control-net" ? nets : name == "control-image" ? listed : rest).push_back(std::move(one));
  }
  size_t taken = 0;
  for (GivenFlag& net : nets) {
    const size_t equals = is_path(net.text) ? std::string::npos : net.text.find('=');
    if (equals != std::string::npos) {
      GivenFlag picture = net;
      picture.setting = find_setting("control-image");
      picture.text = filled_part(net, net.text.substr(equals + 1));
      pictures.push_back(std::move(picture));
      net.text = filled_part(net, net.text.substr(0, equals));
    } else if (taken < listed.size()) {
      pictures.push_back(listed[taken++]);
    }
  }
  listed.erase(listed.begin(), listed.begin() + static_cast<std::ptrdiff_t>(taken));
  given = std::move(rest);
  for (const auto& list : {nets, pictures, listed}) given.insert(given.end(), list.begin(), list.end());
}

void forget_replaced(Settings& settings, const std::vector<GivenFlag>& given) {
  const Request none;
  if (names(given, "control-net")) {
    settings.control_image = none.control_image;
    settings.control_strength = none.control_strength;
    settings.control_start = none.control_start;
    settings.control_end = none.control_end;
    settings.control_mode = none.control_mode;
    settings.control_preprocess = none.control_preprocess;
  }
  if (names(given, "ip-adapter")) {
    settings.ip_image = none.ip_image;
    settings.ip_scale = none.ip_scale;
  }
}

void apply_flags(Settings& to, const std::vector<GivenFlag>& given) {
  for (const Setting& known : settings()) {
    std::vector<std::string> texts;
    for (const GivenFlag& one : given) {
      if (one.setting != &known) continue;
      check_filled(known, one.flag, one.text);
      if (is_switch(known)) {
        set_switch(to, one);
      } else if (known.repeated) {
        texts.push_back(one.text);
      } else {
        set_from_text(to, known, one.flag, one.text);
      }
    }
    if (!texts.empty()) set_from_texts(to, known, fmt::format("--{}", known.name), texts);
  }
}

}  // namespace sdtorch
