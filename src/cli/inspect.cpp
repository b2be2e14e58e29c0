#include "cli/inspect.hpp"

#include <fmt/format.h>

#include <array>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string_view>
#include <system_error>

#include "cli/inspect_model.hpp"
#include "core/error.hpp"
#include "core/paths.hpp"
#include "core/utf8.hpp"
#include "io/json.hpp"
#include "io/png_text.hpp"
#include "weights/model_path.hpp"

namespace sdtorch {
namespace {

using nlohmann::ordered_json;

constexpr const char* request_keyword = "sdtorch";

std::string line_of(const ordered_json& object) {
  return object.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

std::string png_report(const InspectOptions& options) {
  const std::string path = options.path.string();
  const std::vector<PngText> texts = read_png_text(options.path);
  if (options.json) {
    ordered_json object = {{"path", path}, {"kind", "png"}, {"texts", ordered_json::object()}};
    for (const PngText& text : texts) {
      object["texts"][text.keyword] = text.text;
      if (text.keyword != request_keyword) continue;
      object["request"] = parse_json(text.text, path + ": " + request_keyword, ErrorKind::input);
    }
    return line_of(object);
  }
  if (texts.empty()) return fmt::format("{}: a PNG without text\n", path);
  std::string report;
  for (const PngText& text : texts) {
    std::string shown = text.text;
    if (text.keyword == request_keyword) {
      shown = parse_json(text.text, path + ": " + request_keyword, ErrorKind::input).dump(2);
    }
    report += fmt::format("{}{}:\n{}\n", report.empty() ? "" : "\n", harmless(text.keyword), harmless(shown));
  }
  return report;
}

std::string shown(const ModelReport& report, bool as_json) { return as_json ? line_of(report.object) : report.text; }

/// By its first bytes, or its name where there are none to read. A named pipe is not opened: that would wait for
/// somebody to write into it.
bool is_png(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return path.extension() == ".png";
  constexpr std::string_view signature = "\x89PNG";
  std::array<char, signature.size()> start{};
  std::ifstream file(path, std::ios::binary);
  file.read(start.data(), start.size());
  return path.extension() == ".png" || std::string_view(start.data(), start.size()) == signature;
}

}  // namespace

std::string inspect_text(const InspectOptions& options) {
  if (is_png(options.path)) return png_report(options);
  const std::filesystem::path model = find_model(options.path);
  return shown(is_folder(model) ? report_folder(model) : report_weights_file(model), options.json);
}

}  // namespace sdtorch
