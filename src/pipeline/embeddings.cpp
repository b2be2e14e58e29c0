#include "pipeline/embeddings.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "adapters/png_embedding.hpp"
#include "core/error.hpp"
#include "core/log.hpp"
#include "core/paths.hpp"
#include "core/suggest.hpp"
#include "pipeline/loras.hpp"
#include "pipeline/model_description.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 4> embedding_endings = {".pt", ".bin", ".safetensors", ".png"};
constexpr std::string_view preview_ending = ".preview";      // A1111's pictures of what words draw
constexpr std::string_view embedding_prefix = "embedding:";  // ComfyUI's
constexpr const char* embedding_flag = "--embedding";
constexpr size_t most_files_kept = 256;

/// The files that diffusers looks for in a folder.
constexpr std::array<const char*, 2> folder_names = {"learned_embeds.safetensors", "learned_embeds.bin"};

/// `--embedding FILE[=TOKEN]`
struct GivenEmbedding {
  fs::path file{};
  std::optional<std::string> token{};
};

/// Both parts may hold a `=`: the longest file that is there counts.
GivenEmbedding parse_embedding(const std::string& text) {
  if (is_there(text)) return {.file = text};
  const size_t last = text.rfind('=');
  for (size_t at = last; at != std::string::npos && at > 0; at = text.rfind('=', at - 1)) {
    if (is_there(text.substr(0, at))) return {.file = text.substr(0, at), .token = text.substr(at + 1)};
  }
  if (last == std::string::npos) return {.file = text};
  return {.file = text.substr(0, last), .token = text.substr(last + 1)};
}

fs::path embedding_file(const fs::path& said) {
  require_add_on(said, embedding_flag);
  if (!is_folder(said)) return said;
  for (const char* name : folder_names) {
    if (is_there(said / name)) return said / name;
  }
  refuse(embedding_flag, fmt::format("'{}' is a folder without {}", said.string(), fmt::join(folder_names, " or ")));
}

/// What a picture in the folder is called as a word, as A1111 has it: by its own name, else the file's. Nothing where
/// it holds none in a text: a folder has many pictures, and their pixels are not looked through.
std::optional<std::string> word_of_picture(const AddOnFile& picture) {
  if (picture.name.ends_with(preview_ending)) return std::nullopt;
  try {
    const auto embedding = read_png_embedding(picture.path);
    if (!embedding) return std::nullopt;
    return embedding->name.empty() || embedding->name == "*" ? picture.name : embedding->name;
  } catch (const Error& error) {
    log_warning(fmt::format("{}; it is no word", error.what()));
    return std::nullopt;
  }
}

std::vector<AddOnFile> embedding_files(const std::string& folder) {
  std::vector<AddOnFile> files;
  for (AddOnFile& file : add_on_files(folder, embedding_endings, "--embd-dir")) {
    if (ascii_lower(file.path.extension().string()) == ".png") {
      const auto name = word_of_picture(file);
      if (!name) continue;
      file.inner = file.inner.substr(0, file.inner.size() - file.name.size()) + *name;
      file.name = *name;
    }
    files.push_back(std::move(file));
  }
  return files;
}

BundledWord bundled_word(const std::string& name, const StateDict& weights) {
  const std::string file = weights.empty() ? std::string() : weights.begin()->second.file;
  std::map<std::string, at::Tensor> tensors;
  for (const auto& [key, tensor] : weights) {
    if (key == "clip_l_out" || key == "clip_g_out") {  // OneTrainer's, of what the text encoders say
      log_warning(fmt::format("{}: bundle_emb.{}.{} is left out: output embeddings are not read", file, name, key));
    } else {
      tensors[key] = tensor.tensor;
    }
  }
  TextualInversion read = read_textual_inversion(tensors, name, file);
  if (read.words.size() != 1) {
    fail(ErrorKind::model, file, "bundle_emb." + name, fmt::format("holds {} embeddings", read.words.size()));
  }
  read.words.front().name = name;
  return {.file = file, .word = std::move(read.words.front())};
}

bool one_of(const std::string& name, std::initializer_list<std::string_view> names) {
  return std::ranges::find(names, name) != names.end();
}

}  // namespace

EmbeddingStore::EmbeddingStore(std::string model, std::vector<Encoder> encoders, const std::string& folder)
    : model_(std::move(model)), encoders_(std::move(encoders)), read_(most_files_kept), rows_(encoders_.size()) {
  if (!folder.empty()) files_ = embedding_files(folder);
}

std::shared_ptr<const TextualInversion> EmbeddingStore::read(const fs::path& file) {
  return read_.get(file, [](const fs::path& path) {
    return std::make_shared<const TextualInversion>(load_textual_inversion(path));
  });
}

PlacedWord EmbeddingStore::place(const std::string& key, const LearnedWord& word, const std::string& file) {
  const std::lock_guard lock(mutex_);
  if (const auto known = placed_.find(key); known != placed_.end()) return known->second;
  const PlacedWord placed{.first = count_, .count = word.count()};
  std::vector<at::Tensor> vectors;
  for (const Encoder& encoder : encoders_) {
    if (placed.count > encoder.tokenizer.chunk_size()) {
      refuse(file, fmt::format("has {} vectors, and a text encoder takes {} at a time", placed.count,
                               encoder.tokenizer.chunk_size()));
    }
    vectors.push_back(vectors_for(word, encoder.place, file, model_));
  }
  for (size_t i = 0; i < vectors.size(); ++i) rows_[i].push_back(vectors[i]);
  firsts_.insert(placed.first);
  count_ += placed.count;
  return placed_[key] = placed;
}

at::Tensor EmbeddingStore::rows(size_t encoder) const {
  const std::lock_guard lock(mutex_);
  const std::vector<at::Tensor>& words = rows_[encoder];
  return words.empty() ? at::Tensor() : at::cat(words);
}

bool EmbeddingStore::goes_on(size_t encoder, int64_t id) const {
  const int64_t place = id - encoders_[encoder].vocabulary;
  if (place < 0) return false;
  const std::lock_guard lock(mutex_);
  return !firsts_.contains(place);
}

std::shared_ptr<const PromptEmbeddings> EmbeddingStore::words_of(const Request& request,
                                                                 const std::vector<BundledWord>& bundled) {
  constexpr size_t most_kept = 8;
  std::string key = fmt::format("{}\n{}\n{}", request.compat.value_or(""), request.prompt_syntax.value_or(""),
                                fmt::join(request.embedding, "\n"));
  for (const BundledWord& word : bundled) key += fmt::format("\n\n{}\n{}", word.word.name, word.file);
  {
    const std::lock_guard lock(mutex_);
    const auto known = std::ranges::find(words_, key, [](const auto& entry) { return entry.first; });
    if (known != words_.end()) {
      words_.splice(words_.begin(), words_, known);
      return words_.front().second;
    }
  }
  auto made = std::make_shared<const PromptEmbeddings>(*this, request, bundled);
  const std::lock_guard lock(mutex_);
  words_.emplace_front(key, made);
  if (words_.size() > most_kept) words_.pop_back();
  return made;
}

std::shared_ptr<EmbeddingStore> embedding_store(const ModelDescription& model, const std::string& folder) {
  std::vector<EmbeddingStore::Encoder> encoders;
  for (const TextEncoderDescription& text : model.text_encoders) {
    encoders.push_back({.tokenizer = text.tokenizer,
                        .place = {.encoders = model.text_encoders.size(),
                                  .second = text.name == "text_encoder_2",
                                  .width = embedding_width(text.config)},
                        .vocabulary = vocab_size(text.config)});
  }
  return std::make_shared<EmbeddingStore>(model.name, std::move(encoders), folder);
}

PromptEmbeddings::PromptEmbeddings(EmbeddingStore& store, const Request& request,
                                   const std::vector<BundledWord>& bundled)
    : store_(store), words_(store.encoders().size()), given_(request.embedding) {
  const std::string compat = request.compat.value_or(""), syntax = request.prompt_syntax.value_or(compat);
  bare_ = syntax != "comfy";
  prefixed_ = syntax != "a1111" && compat != "a1111" && compat != "diffusers";
  by_ids_alone_ = compat == "a1111";
  by_letters_ = compat == "diffusers";
  may_end_ = !one_of(compat, {"a1111", "comfy", "sdcpp"}) && store.files().empty() && bundled.empty();
  for (const EmbeddingStore::Encoder& encoder : store.encoders()) added_.emplace_back(encoder.tokenizer);
  add_given(request);
  for (const BundledWord& word : bundled) {
    add({.name = word.word.name, .bundled = word}, spellings_of_given(word.word.name));
  }
  add_folder();
  if (!may_end_) return;
  for (const Source& source : sources_) placed(source);  // now: the later one's ids are the higher ones
}

void PromptEmbeddings::add_given(const Request& request) {
  std::vector<std::pair<std::string, size_t>> stems;
  for (size_t i = 0; i < request.embedding.size(); ++i) {
    const GivenEmbedding said = parse_embedding(request.embedding[i]);
    const fs::path file = embedding_file(said.file);
    if (said.token && said.token->empty())
      refuse(embedding_flag, fmt::format("'{}' names no word", request.embedding[i]));
    const auto read = store_.read(file);
    if (said.token && read->words.size() > 1) {
      std::vector<std::string> names;
      for (const LearnedWord& word : read->words) names.push_back(word.name);
      refuse(embedding_flag,
             fmt::format("'{}' has {} words of its own: {}", file.string(), names.size(), fmt::join(names, ", ")),
             "give it without =TOKEN");
    }
    for (size_t k = 0; k < read->words.size(); ++k) {
      const std::string stem = file.stem().string(), &own = read->words[k].name;
      const std::string name = said.token ? *said.token : own.empty() ? stem : own;
      const size_t meaning = add({.name = name, .files = {file}, .number = k, .given = i}, spellings_of_given(name));
      if (const Source& other = sources_[meaning]; other.given != i || other.number != k) {
        refuse(embedding_flag,
               fmt::format("'{}' is the word of '{}' and of '{}'", name, other.files.front().string(), file.string()),
               "give one of them another: FILE=TOKEN");
      }
      if (!said.token && read->named_by_file && read->words.size() == 1) stems.emplace_back(stem, meaning);
    }
  }
  for (const auto& [stem, meaning] : stems) spell(stem, meaning);  // where no other has that name
}

std::vector<std::string> PromptEmbeddings::spellings_of_given(const std::string& name) const {
  std::vector<std::string> spellings = {name};
  if (prefixed_) spellings.push_back(std::string(embedding_prefix) + name);
  return spellings;
}

/// In ComfyUI a name may have its ending, too.
std::vector<std::string> PromptEmbeddings::spellings_in_folder(const std::string& name,
                                                               const std::string& ending) const {
  std::vector<std::string> spellings;
  if (bare_) spellings.push_back(name);
  if (prefixed_) spellings.push_back(std::string(embedding_prefix) + name);
  if (prefixed_ && !bare_) spellings.push_back(std::string(embedding_prefix) + name + ending);
  return spellings;
}

void PromptEmbeddings::add_folder() {
  for (const AddOnFile& file : store_.files()) {
    const std::string ending = file.path.extension().string();
    const size_t meaning = add({.name = file.name, .files = {file.path}}, spellings_in_folder(file.name, ending));
    Source& source = sources_[meaning];
    const auto is_this = [&](const fs::path& other) {
      std::error_code error;
      return fs::equivalent(other, file.path, error);  // links may lead to it twice
    };
    const bool known = std::ranges::any_of(source.files, is_this);
    if (!known && !source.given && !source.bundled) source.files.push_back(file.path);
    if (file.inner == file.name) continue;
    const size_t exact = sources_.size();
    sources_.push_back({.name = file.inner, .files = {file.path}});
    for (const std::string& spelling : spellings_in_folder(file.inner, ending)) spell(spelling, exact);
  }
}

/// → which source the first spelling means, this one or one that was there before.
size_t PromptEmbeddings::add(Source source, const std::vector<std::string>& spellings) {
  const size_t number = sources_.size();
  sources_.push_back(std::move(source));
  size_t meaning = number;
  for (size_t i = 0; i < spellings.size(); ++i) {
    const size_t found = spell(spellings[i], number);
    if (i == 0) meaning = found;
  }
  return meaning;
}

size_t PromptEmbeddings::spell(const std::string& text, size_t meaning) {
  size_t found = meaning;
  for (size_t i = words_.size(); i-- > 0;) {
    std::vector<int64_t> ids = store_.encoders()[i].tokenizer.encode(text);
    if (ids.empty()) {
      if (sources_[meaning].given) refuse(embedding_flag, fmt::format("'{}' is no word: it has no tokens", text));
      continue;
    }
    found = by_letters_ ? added_[i].add(text, meaning) : words_[i].add(std::move(ids), meaning);
  }
  spelled_.insert(ascii_lower(text));
  if (has_open_edge(text) && !by_ids_alone_) apart_.push_back(text);
  return found;
}

PlacedWord PromptEmbeddings::placed(const Source& source) const {
  // Where a text is pooled at its highest id, a word's ids depend on the others that are given: in their order,
  // whatever was drawn before, and apart from its ids elsewhere, since what is encoded with them differs.
  const std::string mode = may_end_ ? fmt::format("{}\n", fmt::join(given_, "\n")) : "";
  if (source.bundled) {
    const BundledWord& word = *source.bundled;
    return store_.place(fmt::format("{}{} in {}", mode, word.word.name, word.file), word.word, word.file);
  }
  if (source.files.size() > 1) {
    std::vector<std::string> names;
    for (const fs::path& file : source.files) names.push_back(file.string());
    refuse("--embd-dir",
           fmt::format("'{}' is the name of {} embeddings: {}", source.name, names.size(), fmt::join(names, ", ")),
           "say which by its folder, or by --embedding FILE=TOKEN");
  }
  const fs::path& file = source.files.front();
  const auto read = store_.read(file);
  if (!source.given && read->words.size() > 1) {
    refuse("--embd-dir", fmt::format("'{}' has {} words", file.string(), read->words.size()),
           "give it by --embedding, and use theirs");
  }
  const FileStamp stamp = FileStamp::of(file);
  const std::string key = fmt::format("{}{} {} {} {}", mode, file.string(), source.number, stamp.size,
                                      stamp.written.time_since_epoch().count());
  return store_.place(key, read->words.at(source.number), file.string());
}

std::vector<int64_t> PromptEmbeddings::encode(size_t encoder, const std::string& text) const {
  const EmbeddingStore::Encoder& reads = store_.encoders()[encoder];
  if (by_letters_) {
    return added_[encoder].encode(text, [&](size_t meaning) -> WordIds {
      const PlacedWord word = placed(sources_[meaning]);
      return {.first = reads.vocabulary + word.first, .count = word.count};
    });
  }
  const std::vector<int64_t> ids = reads.tokenizer.encode(apart_.empty() ? text : set_apart(text, apart_));
  std::vector<int64_t> placed_ids;
  for (size_t at = 0; at < ids.size();) {
    const auto found = words_[encoder].find(ids, at);
    if (!found) {
      placed_ids.push_back(ids[at++]);
      continue;
    }
    const PlacedWord word = placed(sources_[found->meaning]);
    for (int64_t k = 0; k < word.count; ++k) placed_ids.push_back(reads.vocabulary + word.first + k);
    at += found->length;
  }
  return placed_ids;
}

std::vector<PromptEmbeddings::Named> PromptEmbeddings::named(size_t encoder,
                                                             const std::vector<std::string>& texts) const {
  std::set<size_t> used;
  for (const std::string& text : texts) find_used(text, used);
  std::vector<Named> words;
  for (const size_t meaning : used) {
    const Source& source = sources_[meaning];
    const PlacedWord word = placed(source);
    words.push_back({.name = source.name,
                     .file = source.bundled ? source.bundled->file : source.files.front().string(),
                     .ids = {.first = store_.encoders()[encoder].vocabulary + word.first, .count = word.count}});
  }
  return words;
}

void PromptEmbeddings::find_used(const std::string& text, std::set<size_t>& used) const {
  if (by_letters_) {
    for (const size_t meaning : added_.front().find(text)) used.insert(meaning);
    return;
  }
  const Tokenizer& tokenizer = store_.encoders().front().tokenizer;
  const std::vector<int64_t> ids = tokenizer.encode(apart_.empty() ? text : set_apart(text, apart_));
  for (size_t at = 0; at < ids.size();) {
    const auto found = words_.front().find(ids, at);
    if (found) used.insert(found->meaning);
    at += found ? found->length : 1;
  }
}

/// Names behind `embedding:` that none has. In ComfyUI a blank ends one; where bare words count, one may have blanks.
std::vector<std::string> PromptEmbeddings::unknown_in(const std::string& text) const {
  std::vector<std::string> unknown;
  const std::string lower = ascii_lower(text);
  for (size_t at = text.find(embedding_prefix); at != std::string::npos; at = text.find(embedding_prefix, at + 1)) {
    const size_t end = text.find_first_of(" \t\n\r,():", at + embedding_prefix.size());
    const std::string word = text.substr(at, end - at);
    if (bare_ && word == embedding_prefix) continue;
    const bool begins =
        bare_ && std::ranges::any_of(spelled_, [&](const std::string& spelling) {
          return spelling.starts_with(embedding_prefix) && std::string_view(lower).substr(at).starts_with(spelling);
        });
    if (!begins && !spelled_.contains(ascii_lower(word))) unknown.push_back(word.substr(embedding_prefix.size()));
  }
  return unknown;
}

std::string PromptEmbeddings::near_names(const std::string& name) const {
  std::vector<std::string> names;
  for (const Source& source : sources_) names.push_back(source.name);
  return names.empty() ? "give --embd-dir DIR or --embedding FILE" : did_you_mean(name, names);
}

void PromptEmbeddings::check(const std::vector<std::string>& texts, std::vector<std::string>& warnings) const {
  std::set<size_t> used;
  for (const std::string& text : texts) {
    find_used(text, used);
    if (!prefixed_) continue;
    for (const std::string& name : unknown_in(text)) {
      const std::string reason = fmt::format("there is no embedding '{}'", name);
      // ComfyUI leaves such a word out and says so in its log; A1111's users may mean the text.
      if (!bare_) refuse("--prompt", reason, near_names(name));
      warnings.push_back(fmt::format("{}, and its name is taken as text; {}", reason, near_names(name)));
    }
  }
  std::set<size_t> used_flags;
  for (const size_t meaning : used) {
    const PlacedWord word = placed(sources_[meaning]);
    if (by_letters_ && word.count > 1 && !added_.front().is_whole(meaning)) {
      warnings.push_back(
          fmt::format("'{}' has {} vectors, of which diffusers takes the first alone: its name is not in lower case",
                      sources_[meaning].name, word.count));
    }
    if (sources_[meaning].given) used_flags.insert(*sources_[meaning].given);
  }
  for (size_t i = 0; i < given_.size(); ++i) {
    if (used_flags.contains(i)) continue;
    std::vector<std::string> names;
    for (const Source& source : sources_) {
      if (source.given == i) names.push_back(fmt::format("'{}'", source.name));
    }
    warnings.push_back(fmt::format("--embedding {}: no prompt has its word, {}", given_[i], fmt::join(names, " or ")));
  }
}

std::shared_ptr<const PromptEmbeddings> resolve_embeddings(const ModelDescription& model, const Request& request,
                                                           const std::vector<ResolvedLora>& loras,
                                                           const std::vector<std::string>& texts,
                                                           std::vector<std::string>& warnings) {
  std::vector<BundledWord> bundled;
  for (const ResolvedLora& lora : loras) {
    for (const auto& [name, tensors] : lora.file->embeddings) bundled.push_back(bundled_word(name, tensors));
  }
  auto words = model.embeddings->words_of(request, bundled);
  words->check(texts, warnings);
  const auto both =
      std::make_shared<const std::pair<decltype(model.embeddings), decltype(words)>>(model.embeddings, words);
  return {both, words.get()};
}

}  // namespace sdtorch
