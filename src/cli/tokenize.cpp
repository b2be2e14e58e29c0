#include "cli/tokenize.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/error.hpp"
#include "core/paths.hpp"
#include "text/load_tokenizer.hpp"
#include "weights/model_folder.hpp"
#include "weights/model_path.hpp"
#include "weights/model_source.hpp"
#include "weights/pipeline_kind.hpp"

namespace sdtorch {
namespace {

/// A model's tokenizer, or the one whose files lie in the folder itself. No other part of a model's folder is needed.
TokenizerPlace find_tokenizer(const std::filesystem::path& chosen) {
  const std::filesystem::path model = find_model(chosen);
  if (!is_folder(model)) return open_model(model)->tokenizer("tokenizer");
  for (const char* name : {"tokenizer", "tokenizer_2"}) {  // an SDXL refiner has the second alone
    if (!is_folder(model / name)) continue;
    const std::filesystem::path index = model / "model_index.json";
    const auto pipeline = is_there(index) ? find_pipeline_kind(load_config(index)) : std::nullopt;
    return pipeline ? tokenizer_place(*pipeline, model / name) : TokenizerPlace{.folder = model / name};
  }
  if (holds_tokenizer(model)) return {.folder = model};
  throw Error(ErrorKind::model, {.file = model,
                                 .reason = "no tokenizer: neither a folder `tokenizer` nor tokenizer.json, "
                                           "vocab.json and merges.txt, sentencepiece.bpe.model or spiece.model"});
}

std::string json_line(const Tokenizer& tokenizer, const std::vector<int64_t>& ids) {
  nlohmann::ordered_json line = {{"ids", ids}, {"pieces", nlohmann::json::array()}, {"chunks", 0}};
  for (const int64_t id : ids) line["pieces"].push_back(tokenizer.piece(id));
  line["chunks"] = tokenizer.chunk(ids).chunks.size();
  return line.dump() + "\n";
}

/// JSON's spelling, so that no control character of a text or a vocabulary reaches the terminal.
std::string quoted(const std::string& text) { return nlohmann::json(text).dump(); }

std::string counted(size_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

std::string table(const Tokenizer& tokenizer, const std::string& text, const std::vector<int64_t>& ids) {
  const TokenChunks cut = tokenizer.chunk(ids);
  std::string lines = fmt::format("{}: {} in {} of up to {}\n", quoted(text), counted(ids.size(), "token"),
                                  counted(cut.chunks.size(), "chunk"), tokenizer.chunk_size());
  size_t next = 0;
  for (size_t i = 0; i < cut.chunks.size(); ++i) {
    lines += fmt::format("  chunk {} of {}: {}\n", i + 1, cut.chunks.size(), counted(cut.lengths[i], "token"));
    for (const size_t end = next + cut.lengths[i]; next < end; ++next)
      lines += fmt::format("  {:8}  {}\n", ids[next], quoted(tokenizer.piece(ids[next])));
  }
  return lines;
}

}  // namespace

int tokenize_command(const TokenizeOptions& options, std::istream& in, std::ostream& out) {
  if (options.texts.empty())
    throw Error(ErrorKind::usage, {.file = "tokenize", .reason = "no text", .hint = "`-` reads standard input"});
  const TokenizerPlace place = find_tokenizer(options.model);
  const Tokenizer tokenizer = load_tokenizer(
      place.folder,
      {.pad_token = place.pad_token, .lower_case = place.lower_case, .model_max_length = place.model_max_length});

  // file: what to call the text's source; line: its line there, or empty.
  const auto print = [&](const std::string& text, const std::string& file, const std::string& line) {
    std::vector<int64_t> ids;
    try {
      ids = tokenizer.encode(text);
    } catch (const Error& error) {
      ErrorParts parts = error.parts();
      parts.file = file;
      if (!line.empty()) parts.place = line + ", " + parts.place;
      throw Error(error.kind(), std::move(parts));
    }
    out << (options.json ? json_line(tokenizer, ids) : table(tokenizer, text, ids)) << std::flush;
    if (!out) throw Error(ErrorKind::output, {.file = "<stdout>", .reason = "cannot be written"});
  };

  for (size_t i = 0; i < options.texts.size(); ++i) {
    if (options.texts[i] != "-") {
      print(options.texts[i], options.texts.size() == 1 ? "TEXT" : fmt::format("TEXT {}", i + 1), "");
      continue;
    }
    std::string text;
    for (size_t number = 1; std::getline(in, text); ++number) {
      if (text.ends_with('\r')) text.pop_back();
      print(text, "<stdin>", fmt::format("line {}", number));
    }
    if (in.bad()) throw Error(ErrorKind::input, {.file = "<stdin>", .reason = "cannot be read"});
  }
  return 0;
}

}  // namespace sdtorch
