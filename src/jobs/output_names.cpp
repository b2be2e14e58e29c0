#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <array>

#include "core/error.hpp"
#include "core/number.hpp"
#include "core/suggest.hpp"
#include "core/utf8.hpp"
#include "jobs/output_names.hpp"
#include "pipeline/metadata.hpp"

namespace sdtorch {
namespace {

constexpr std::array<std::string_view, 9> field_names = {"index", "seed",  "slug",   "sampler", "steps",
                                                         "cfg",   "width", "height", "model"};
constexpr std::array<std::string_view, 5> whole_numbers = {"index", "seed", "steps", "width", "height"};
constexpr std::string_view picture_ending = ".png";
constexpr int64_t most_digits = 18;  // an index of so many digits still fits 64 bits

bool is_one_of(std::string_view name, std::span<const std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool belongs_to_word(utf8proc_int32_t c) {
  const utf8proc_category_t category = utf8proc_category(c);
  return (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO) ||
         (category >= UTF8PROC_CATEGORY_MN && category <= UTF8PROC_CATEGORY_ME) ||
         (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO);
}

int64_t read_digits(const std::string& field, std::string_view text) {
  const auto digits = parse_int(text);
  if (!text.starts_with('0') || !digits || *digits < 1 || *digits > most_digits) {
    refuse("--name", fmt::format("'{{{}:{}}}' is not a count of digits", field, text),
           fmt::format("write {{{}:05}}", field));
  }
  if (!is_one_of(field, whole_numbers)) refuse("--name", fmt::format("'{{{}}}' takes no count of digits", field));
  return *digits;
}

}  // namespace

std::string slug(std::string_view text, size_t most_bytes) {
  std::string out;
  size_t last_word = 0;  // where the last whole word ends
  bool pending = false;  // a separator, if another word follows
  for (size_t i = 0; i < text.size();) {
    const auto [code, length] = first_character(text.substr(i));
    const auto c = static_cast<utf8proc_int32_t>(code);
    i += std::max<size_t>(length, 1);
    if (length == 0 || !belongs_to_word(c)) {
      pending = pending || !out.empty();
      if (pending && last_word != out.size()) last_word = out.size();
      continue;
    }
    const std::string lower = utf8(static_cast<char32_t>(utf8proc_tolower(c)));
    if (out.size() + pending + lower.size() > most_bytes) {
      // Half a slug of whole words tells more than a whole one that ends inside a word.
      if (!pending && last_word >= most_bytes / 2) out.resize(last_word);
      break;
    }
    if (pending) out += '-';
    pending = false;
    out += lower;
  }
  return out.empty() ? "image" : out;
}

bool is_picture_name(std::string_view file_name) {
  return file_name.size() >= picture_ending.size() &&
         ascii_lower(file_name.substr(file_name.size() - picture_ending.size())) == picture_ending;
}

std::string_view name_template_of(const OutputOptions& output) {
  return output.name.empty() ? default_name_template : std::string_view(output.name);
}

std::string numbered(const std::string& name, int64_t attempt) {
  if (attempt == 1) return name;
  const size_t ending = name.size() - picture_ending.size();
  return fmt::format("{}-{}{}", name.substr(0, ending), attempt, name.substr(ending));
}

std::optional<int64_t> attempt_of(std::string_view numbered, std::string_view name) {
  if (numbered == name) return 1;
  const std::string_view stem = name.substr(0, name.size() - picture_ending.size()), ending = name.substr(stem.size());
  if (!numbered.starts_with(stem) || !numbered.ends_with(ending) || numbered.size() <= name.size()) return std::nullopt;
  const std::string_view number = numbered.substr(stem.size(), numbered.size() - name.size());
  const auto attempt = number.starts_with('-') ? parse_int(number.substr(1)) : std::nullopt;
  constexpr int64_t most = 1'000'000'000;  // nobody has come so far
  const bool is_one = attempt && *attempt > 1 && *attempt < most && number == fmt::format("-{}", *attempt);
  return is_one ? attempt : std::nullopt;
}

NameTemplate::NameTemplate(std::string_view text) {
  const auto is_control = [](unsigned char c) { return c < ' ' || c == '\x7f'; };
  if (invalid_utf8_offset(text) || std::ranges::any_of(text, is_control)) {
    refuse("--name", "holds bytes that are no text", "names stand in the journal, and in lines of output");
  }
  Part literal;
  const auto flush = [&] {
    if (!literal.literal.empty()) parts_.push_back(literal);
    literal.literal.clear();
  };
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '/') refuse("--name", "a name cannot hold a folder", "give the folder by --outdir");
    const bool doubled = (c == '{' || c == '}') && i + 1 < text.size() && text[i + 1] == c;
    if (doubled || (c != '{' && c != '}')) {
      literal.literal += c;
      i += doubled;
      continue;
    }
    const size_t end = text.find('}', i);
    if (c == '}' || end == std::string_view::npos)
      refuse("--name", "a brace without its other half", "write {{ or }} for a brace");
    const std::string_view inside = text.substr(i + 1, end - i - 1);
    Part part{.field = std::string(inside.substr(0, inside.find(':')))};
    if (!is_one_of(part.field, field_names)) {
      refuse("--name", fmt::format("unknown field '{{{}}}'", part.field),
             did_you_mean(part.field, {field_names.begin(), field_names.end()}));
    }
    if (part.field.size() < inside.size()) {
      part.digits = static_cast<int>(read_digits(part.field, inside.substr(part.field.size() + 1)));
    }
    flush();
    parts_.push_back(part);
    i = end;
  }
  flush();
  if (parts_.empty() || !is_picture_name(parts_.back().literal)) {
    refuse("--name", fmt::format("'{}' does not end in .png", text), "pictures are PNG files");
  }
}

std::string NameTemplate::fill(int64_t index, const Picture& picture, const ModelChoice& choice) const {
  const Request& request = picture.request;
  std::string name;
  for (const Part& part : parts_) {
    const std::string& field = part.field;
    if (field.empty()) name += part.literal;
    if (field == "index") name += fmt::format("{:0{}}", index, part.digits);
    if (field == "seed") name += fmt::format("{:0{}}", request.seed, part.digits);
    if (field == "steps") name += fmt::format("{:0{}}", request.steps, part.digits);
    if (field == "width") name += fmt::format("{:0{}}", request.width.value_or(0), part.digits);
    if (field == "height") name += fmt::format("{:0{}}", request.height.value_or(0), part.digits);
    if (field == "cfg") name += fmt::format("{}", request.cfg_scale);
    if (field == "sampler") name += picture.sampler;
    if (field == "model") name += slug(model_name(choice));
    if (field == "slug") name += slug(request.prompt);
  }
  return name;
}

bool NameTemplate::has_index() const {
  return std::any_of(parts_.begin(), parts_.end(), [](const Part& part) { return part.field == "index"; });
}

bool NameTemplate::tells_index() const {
  const bool leading = parts_.front().field == "index";
  const bool after_literal = parts_.size() > 1 && parts_[0].field.empty() && parts_[1].field == "index";
  if (!leading && !after_literal) return false;
  const size_t behind = leading ? 1 : 2;
  if (behind == parts_.size()) return true;
  const std::string& text = parts_[behind].literal;
  return !text.empty() && (text.front() < '0' || text.front() > '9');  // else the index has no end
}

std::optional<int64_t> NameTemplate::index_in(std::string_view file_name) const {
  if (!tells_index()) return std::nullopt;
  const std::string& before = parts_.front().literal;  // empty for a field
  if (!file_name.starts_with(before)) return std::nullopt;
  const std::string_view rest = file_name.substr(before.size());
  const size_t digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
  return digits > static_cast<size_t>(most_digits) ? std::nullopt : parse_int(rest.substr(0, digits));
}

}  // namespace sdtorch
