#include "io/json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <vector>

#include "core/utf8.hpp"
#include "io/mapped_file.hpp"
#include "io/stand_in.hpp"

namespace sdtorch {
namespace {

using nlohmann::json;

constexpr size_t shown_bytes = 300;  // of a key, or of the parser's message

/// JSON has no word for infinity, so Python's is parsed as this number, which nobody writes otherwise.
constexpr std::string_view infinity_stand_in = "1.79E308";

/// Reads a text and tells how far reading has come: the parser's own events carry no position.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, const char** reached) : at_(at), reached_(reached) {}
  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    *reached_ = ++at_;
    return *this;
  }
  CountingIterator operator++(int) {
    const CountingIterator before = *this;
    ++*this;
    return before;
  }
  bool operator==(const CountingIterator& other) const { return at_ == other.at_; }
  bool operator!=(const CountingIterator& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  const char** reached_;
};

/// Builds the value event by event. nlohmann's own builder lets the last of two equal keys win and nests without end.
class Builder : public nlohmann::json_sax<json> {
 public:
  explicit Builder(size_t max_depth) : max_depth_(max_depth) {}

  json result{};
  std::string problem{};
  size_t problem_offset = 0;  ///< from 1, of the last byte read; 0 when the problem stands where reading stopped

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t& spelling) override {
    if (spelling.ends_with(infinity_stand_in)) {
      value = std::copysign(std::numeric_limits<double>::infinity(), value);
    }
    return add(value);
  }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return fail("binary data"); }

  bool start_object(size_t) override { return open(json::object()); }
  bool start_array(size_t) override { return open(json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
    json& object = *open_.back();
    if (object.contains(name)) return fail(fmt::format("the key {:?} occurs twice", shortened(name, shown_bytes)));
    place_ = &object[name];
    return true;
  }

  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& error) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error while …", or "[…] number overflow
    // parsing '1e999'": what is behind the library's own mark and the place is ours.
    std::string reason = error.what();
    for (const char* mark : {"] ", ": "}) {
      if (const size_t end = reason.find(mark); end != std::string::npos) reason.erase(0, end + 2);
    }
    problem_offset = position;
    return fail(shortened(reason, shown_bytes));  // it quotes the token, however long that is
  }

 private:
  template <class Value>
  bool add(Value&& value) {
    slot() = std::forward<Value>(value);
    return true;
  }

  bool open(json container) {
    if (open_.size() == max_depth_) return fail(fmt::format("nested more than {} deep", max_depth_));
    json& there = slot();
    there = std::move(container);
    open_.push_back(&there);
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  /// Where the next value belongs. A container's address holds while it is open: only its last element grows.
  json& slot() {
    if (open_.empty()) return result;
    json& parent = *open_.back();
    if (parent.is_array()) return parent.emplace_back(nullptr);
    return *place_;
  }

  bool fail(std::string reason) {
    if (problem.empty()) problem = std::move(reason);
    return false;
  }

  size_t max_depth_;
  std::vector<json*> open_{};
  json* place_ = nullptr;
};

/// The text with Python's infinities as numbers that JSON has; lines keep their numbers.
std::string without_infinities(std::string_view text) {
  std::string plain;
  plain.reserve(text.size());
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') in_string = !in_string;
    if (in_string && c == '\\' && i + 1 < text.size()) {
      plain += c;
      plain += text[++i];
    } else if (!in_string && c == 'I' && text.substr(i).starts_with("Infinity")) {
      plain += infinity_stand_in;
      i += std::string_view("Infinity").size() - 1;
    } else {
      plain += c;
    }
  }
  return plain;
}

std::string line_and_column(std::string_view text, size_t offset, size_t first_line) {
  const std::string_view before = text.substr(0, std::min(offset, text.size()));
  const auto line = first_line + static_cast<size_t>(std::count(before.begin(), before.end(), '\n'));
  const size_t newline = before.rfind('\n');
  const size_t column = newline == std::string_view::npos ? before.size() : before.size() - newline - 1;
  return fmt::format("line {}, column {}", line, std::max<size_t>(column, 1));
}

}  // namespace

json parse_json(std::string_view text, const std::string& file, ErrorKind kind, const JsonOptions& options) {
  if (text.size() > options.max_bytes) {
    throw Error(kind, {.file = file,
                       .reason = fmt::format("has {} bytes of JSON, more than the {} that are read", text.size(),
                                             options.max_bytes)});
  }
  std::string plain;
  if (text.find("Infinity") != std::string_view::npos) {
    plain = without_infinities(text);
    text = plain;
  }
  const char* reached = text.data();
  Builder builder(options.max_depth);
  const bool parsed = json::sax_parse(CountingIterator(text.data(), &reached),
                                      CountingIterator(text.data() + text.size(), &reached), &builder);
  if (!parsed) {
    refuse_stand_in(text, file, kind);
    const size_t offset =
        builder.problem_offset > 0 ? builder.problem_offset : static_cast<size_t>(reached - text.data());
    throw Error(kind, {.file = file,
                       .place = line_and_column(text, offset, options.first_line),
                       .reason = builder.problem.empty() ? "no JSON" : builder.problem});
  }
  return std::move(builder.result);
}

json read_json_file(const std::filesystem::path& file, ErrorKind kind, const JsonOptions& options) {
  const MappedFile mapped(file, kind);
  const std::span<const std::byte> bytes = mapped.bytes();
  return parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, file.string(), kind, options);
}

}  // namespace sdtorch
