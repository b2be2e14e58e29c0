#include "jobs/sweep.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>

#include "core/error.hpp"
#include "core/utf8.hpp"
#include "jobs/prompt_lines.hpp"
#include "pipeline/settings_json.hpp"

namespace sdtorch {
namespace {

constexpr const char* sweep_flag = "--sweep";
constexpr size_t most_variants = 10'000'000;
constexpr auto as_replacement = nlohmann::json::error_handler_t::replace;  // paths may hold bytes that are not UTF-8

/// What stands before a sweep's `=`, and the values behind it.
struct SweepPart {
  std::string name{};
  std::vector<std::string> values{};
};

/// Reads `name=value,value name=value` part by part.
class SweepReader {
 public:
  explicit SweepReader(const std::string& text) : text_(text) {}

  std::optional<SweepPart> next() {
    while (begins_with_blank(rest())) next_code_point(text_, at_);
    if (at_ == text_.size()) return std::nullopt;
    SweepPart part;
    const size_t start = at_;
    while (at_ < text_.size() && text_[at_] != '=' && !begins_with_blank(rest())) ++at_;
    part.name = text_.substr(start, at_ - start);
    if (at_ == text_.size() || text_[at_] != '=' || part.name.empty()) {
      refuse(sweep_flag, fmt::format("'{}' has no values", part.name.empty() ? rest() : part.name),
             "write NAME=VALUE,VALUE, as cfg=5,7.5");
    }
    do {
      ++at_;  // the = or a comma
      read_value(part);
    } while (at_ < text_.size() && text_[at_] == ',');
    return part;
  }

 private:
  std::string_view rest() const { return std::string_view(text_).substr(at_); }

  void read_value(SweepPart& part) {
    std::string value;
    bool quoted = false;
    char quote = 0;
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      const char ahead = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
      if (quote == 0 && (c == ',' || begins_with_blank(rest()))) break;
      if (c == '\\' && ahead != 0 && quote != '\'' && (quote == 0 || ahead == '"' || ahead == '\\')) {
        value += ahead;
        ++at_;
      } else if (quote != 0 && c == quote) {
        quote = 0;
      } else if (quote == 0 && (c == '"' || c == '\'')) {
        quote = c;
        quoted = true;
      } else {
        value += c;
      }
    }
    if (quote != 0) refuse(sweep_flag, fmt::format("{}: a {} has no end", part.name, quote));
    if (value.empty() && !quoted) {
      refuse(sweep_flag, fmt::format("{}: a value is empty", part.name), "no blanks stand around commas");
    }
    part.values.push_back(std::move(value));
  }

  const std::string& text_;
  size_t at_ = 0;
};

/// A usage error of a value or a name, as one of --sweep.
[[noreturn]] void refuse_in_sweep(const Error& error) {
  const ErrorParts& parts = error.parts();
  std::string where = parts.file;
  if (!parts.place.empty()) where += (where.empty() ? "" : ": ") + parts.place;
  refuse(sweep_flag, where.empty() ? parts.reason : fmt::format("{}: {}", where, parts.reason), parts.hint);
}

void apply_one(Settings& to, const Setting& setting, const std::string& flag, const std::string& text) {
  std::vector<GivenFlag> given{{.setting = &setting, .flag = flag, .text = text}};
  pair_control_nets(given);
  apply_flags(to, given);
}

/// Throws for a name that is none of the setting's choices; what goes with what is not known yet.
void check_value(const Settings& with, const Setting& setting) {
  if (setting.range) check_ranges(with);
  try {
    with.validate();
  } catch (const Error& error) {
    const ErrorParts& parts = error.parts();
    if (parts.file == fmt::format("--{}", setting.name) && parts.reason.ends_with("is not a choice")) throw;
  }
}

/// Values as text go into messages and names of variants; those with blanks in quotes.
std::string shown_value(const std::string& value) {
  const bool plain = !value.empty() && value.find_first_of(" \t\",'") == std::string::npos;
  return plain ? value : fmt::format("\"{}\"", value);
}

}  // namespace

Sweep::Sweep(const std::vector<std::string>& texts) : texts_(texts) {
  for (const std::string& text : texts) {
    if (invalid_utf8_offset(text)) refuse(sweep_flag, "the text is not UTF-8");
    const size_t before = dimensions_.size();
    try {
      add(text);
    } catch (const Error& error) {
      if (error.parts().file == sweep_flag) throw;
      refuse_in_sweep(error);
    }
    if (dimensions_.size() == before) refuse(sweep_flag, "is empty", "write NAME=VALUE,VALUE, as cfg=5,7.5");
  }
}

void Sweep::add(const std::string& text) {
  SweepReader reader(text);
  while (auto part = reader.next()) {
    const Setting& setting = flag_of_line(part->name, part->name);
    if (gives(setting.name)) refuse(part->name, "is given twice");
    std::set<std::string> made;
    for (const std::string& value : part->values) {
      Settings with;
      apply_one(with, setting, part->name, value);
      check_value(with, setting);
      if (!made.insert(settings_to_json(with).dump(-1, ' ', false, as_replacement)).second) {
        refuse(part->name, fmt::format("'{}' is there already", value), "each value once");
      }
    }
    dimensions_.push_back({&setting, std::move(part->values)});
    if (size() > most_variants) {
      refuse(sweep_flag, fmt::format("makes more than {} combinations", most_variants), "sweep over fewer values");
    }
  }
}

size_t Sweep::size() const {
  size_t count = 1;
  for (const Dimension& dimension : dimensions_) count *= dimension.values.size();
  return count;
}

bool Sweep::gives(std::string_view setting) const {
  return std::ranges::any_of(dimensions_, [&](const Dimension& d) { return d.setting->name == setting; });
}

std::vector<std::string> Sweep::names() const {
  std::vector<std::string> names;
  for (const Dimension& dimension : dimensions_) names.emplace_back(dimension.setting->name);
  return names;
}

Variant Sweep::variant(const Settings& settings, size_t index) const {
  std::vector<GivenFlag> given;
  for (size_t i = dimensions_.size(); i-- > 0;) {
    const Dimension& dimension = dimensions_[i];
    given.push_back({.setting = dimension.setting,
                     .flag = fmt::format("--{}", dimension.setting->name),
                     .text = dimension.values[index % dimension.values.size()]});
    index /= dimension.values.size();
  }
  std::ranges::reverse(given);
  Variant variant{.settings = settings};
  for (const GivenFlag& one : given) {
    variant.name += fmt::format("{}{}={}", variant.name.empty() ? "" : " ", one.setting->name, shown_value(one.text));
  }
  pair_control_nets(given);
  apply_flags(variant.settings, given);
  return variant;
}

}  // namespace sdtorch
