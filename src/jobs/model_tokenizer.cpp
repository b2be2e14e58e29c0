#include "jobs/model_tokenizer.hpp"

#include <array>
#include <string_view>
#include <system_error>

#include "core/error.hpp"
#include "core/paths.hpp"
#include "io/atomic_file.hpp"
#include "io/json.hpp"
#include "io/mapped_file.hpp"
#include "text/load_tokenizer.hpp"
#include "weights/component_writer.hpp"
#include "weights/single_file.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int64_t clip_tokens = 49408;  // with another number, readers of single files look for a tokenizer beside them
constexpr const char* settings_file = "tokenizer_config.json";
constexpr std::array special_tokens = {"bos_token", "eos_token", "pad_token", "unk_token"};

fs::path installed_clip() { return share_folder() / "clip"; }

/// The lines of a file without the spaces at their ends, and without comments.
std::vector<std::string> lines_of(const fs::path& path) {
  const MappedFile file(path, ErrorKind::model);
  const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  std::vector<std::string> lines;
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find('\n', start), text.size());
    std::string line(text.substr(start, end - start));
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    if (!line.empty() && !line.starts_with("#version")) lines.push_back(std::move(line));
    start = end + 1;
  }
  return lines;
}

Tokenizer tokenizer_at(const TokenizerPlace& place) {
  return load_tokenizer(
      place.folder,
      {.pad_token = place.pad_token, .lower_case = place.lower_case, .model_max_length = place.model_max_length});
}

bool same_frame(const Tokenizer& a, const Tokenizer& b) {
  return a.start_id() == b.start_id() && a.end_id() == b.end_id() && a.pad_id() == b.pad_id() &&
         a.model_max_length() == b.model_max_length();
}

bool same_pieces(const Tokenizer& a, const Tokenizer& b) {
  if (a.vocab_size() != b.vocab_size()) return false;
  for (int64_t id = 0; id < a.vocab_size(); ++id) {
    if (a.piece(id) != b.piece(id)) return false;
  }
  return true;
}

void copy_files(const fs::path& from, const fs::path& to) {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(from, error)) {
    std::error_code ignored;
    if (!entry.is_regular_file(ignored)) continue;
    write_file_atomically(to / entry.path().filename(), MappedFile(entry.path(), ErrorKind::model).bytes());
  }
  if (error) fail(ErrorKind::model, from, {}, error.message());
}

}  // namespace

std::vector<std::string> tokenizers_of(const ModelPlan& model) {
  std::vector<std::string> names;
  if (model.source->has("text_encoder")) names.emplace_back("tokenizer");
  if (model.source->has("text_encoder_2")) names.emplace_back("tokenizer_2");
  return names;
}

void write_tokenizer(const fs::path& folder, const ModelPlan& model, const std::string& component) {
  const TokenizerPlace place = model.source->tokenizer(component);
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail(ErrorKind::output, folder, {}, error.message());
  copy_files(place.folder, folder);
  const bool complete =
      is_folder(model.source->path()) || place.folder == tokenizer_beside(model.source->path(), component);
  if (complete || is_there(folder / settings_file)) return;
  const json config = published_config({.family = model.family}, component);
  json special = json::object();
  for (const char* token : special_tokens) special[token] = config.at(token);
  write_json(folder / settings_file, config);
  write_json(folder / "special_tokens_map.json", special);
}

bool is_clip_tokenizer(const ModelPlan& model, const std::string& component) {
  const ComponentPlan& encoder = model.component(component == "tokenizer_2" ? "text_encoder_2" : "text_encoder");
  const auto embedding = encoder.tensors.find("embeddings.token_embedding.weight");
  if (embedding == encoder.tensors.end() || embedding->second.shape.at(0) != clip_tokens) return false;
  const TokenizerPlace place = model.source->tokenizer(component);
  const fs::path clip = installed_clip();
  if (place.folder == clip) return true;
  const auto only_these = [&](const char* name) { return is_there(place.folder / name) && is_there(clip / name); };
  if (!only_these("vocab.json") || !only_these("merges.txt")) return false;
  for (const char* more : {"tokenizer.json", "added_tokens.json"}) {
    if (is_there(place.folder / more)) return false;
  }
  if (lines_of(place.folder / "merges.txt") != lines_of(clip / "merges.txt")) return false;
  const auto pad = published_config({.family = model.family}, component).value("pad_token", std::string());
  const Tokenizer own = tokenizer_at(place), usual = tokenizer_at({.folder = clip, .pad_token = pad});
  return same_frame(own, usual) && same_pieces(own, usual);
}

}  // namespace sdtorch
