#include "io/yaml.hpp"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <istream>
#include <optional>
#include <streambuf>
#include <utility>
#include <vector>

#include "core/error.hpp"

namespace sdtorch {
namespace {

constexpr size_t most_levels = 64;
constexpr size_t longest_path = 1024;  // in bytes: a small file must not spell out gigabytes of paths

/// Reads what lies in memory already.
class TextBuffer : public std::streambuf {
 public:
  explicit TextBuffer(std::string_view text) {
    char* begin = const_cast<char*>(text.data());  // which std::streambuf asks for, and only reads
    setg(begin, begin, begin + text.size());
  }
};

/// Follows the parser through a document, so that no tree is built and no alias expanded.
class ScalarsByPath : public YAML::EventHandler {
 public:
  explicit ScalarsByPath(std::string file) : file_(std::move(file)) {}

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override { value(mark, {}); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { value(mark, {}); }
  void OnScalar(const YAML::Mark& mark, const std::string&, YAML::anchor_t, const std::string& text) override {
    value(mark, text);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {
    open(mark, {.key = "-", .list = true});
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {
    open(mark, {});
  }
  void OnMapEnd() override { close(); }

  std::map<std::string, std::string> take() { return std::move(scalars_); }

 private:
  struct Level {
    std::optional<std::string> key{};  ///< of the value that comes next; in a mapping, nothing before its key
    bool list = false;
  };

  void value(const YAML::Mark& mark, const std::optional<std::string>& text) {
    if (!levels_.empty() && !levels_.back().key) {
      levels_.back().key = text.value_or("");
      return;
    }
    if (text) scalars_.emplace(path(mark), *text);
    done_with_value();
  }

  void open(const YAML::Mark& mark, Level level) {
    if (levels_.size() == most_levels) fail_at(mark, fmt::format("nested more than {} levels deep", most_levels));
    if (!levels_.empty() && !levels_.back().key) fail_at(mark, "a mapping or list as a key");
    levels_.push_back(std::move(level));
  }

  void close() {
    levels_.pop_back();
    done_with_value();
  }

  void done_with_value() {
    if (!levels_.empty() && !levels_.back().list) levels_.back().key.reset();
  }

  std::string path(const YAML::Mark& mark) const {
    std::string joined;
    for (const Level& level : levels_) {
      if (!joined.empty()) joined += '.';
      joined += *level.key;
      if (joined.size() > longest_path) fail_at(mark, fmt::format("a path of more than {} bytes", longest_path));
    }
    return joined;
  }

  [[noreturn]] void fail_at(const YAML::Mark& mark, const std::string& reason) const {
    fail(ErrorKind::model, file_, fmt::format("line {}", mark.line + 1), reason);
  }

  std::string file_;
  std::vector<Level> levels_{};
  std::map<std::string, std::string> scalars_{};
};

}  // namespace

std::map<std::string, std::string> read_yaml_scalars(std::string_view text, const std::string& file) {
  TextBuffer buffer(text);
  std::istream stream(&buffer);
  ScalarsByPath scalars(file);
  try {
    YAML::Parser(stream).HandleNextDocument(scalars);
  } catch (const YAML::Exception& error) {
    fail(ErrorKind::model, file, fmt::format("line {}", error.mark.line + 1), "is no YAML: " + error.msg);
  }
  return scalars.take();
}

}  // namespace sdtorch
