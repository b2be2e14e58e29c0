// The learned words that prompts may name (adapters/textual_inversion.hpp): `--embedding` and `--embd-dir`.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "adapters/textual_inversion.hpp"
#include "io/add_on_files.hpp"
#include "io/file_cache.hpp"
#include "networks/clip_text.hpp"
#include "sdtorch/request.hpp"
#include "text/added_words.hpp"
#include "text/embedding_words.hpp"
#include "text/prompt/chunks.hpp"
#include "text/tokenizer.hpp"

namespace sdtorch {

struct ModelDescription;
struct ResolvedLora;
class PromptEmbeddings;

/// A word that another add-on's file brings along, as LoRAs may.
struct BundledWord {
  std::string file{};
  LearnedWord word{};  ///< with a name
};

/// The ids of a word's vectors: `count` of them, from the vocabulary's size + first on, whichever text encoder's.
struct PlacedWord {
  int64_t first = 0, count = 0;
};

/// What one model knows of learned words, for all its requests: each file is read when a prompt first names its word,
/// and the ids that its vectors get then stay theirs. Safe from several threads.
class EmbeddingStore {
 public:
  struct Encoder {
    Tokenizer tokenizer{};
    EncoderPlace place{};
    int64_t vocabulary = 0;  ///< how many ids have an embedding of the text encoder's own
  };

  /// model: its name, for messages; folder: ModelChoice::embd_dir.
  /// Throws ErrorKind::usage naming --embd-dir where that is no folder.
  EmbeddingStore(std::string model, std::vector<Encoder> encoders, const std::string& folder);

  const std::vector<Encoder>& encoders() const { return encoders_; }
  const std::vector<AddOnFile>& files() const { return files_; }  ///< of the folder

  std::shared_ptr<const TextualInversion> read(const std::filesystem::path& file);

  /// key: the same for the same vectors. Throws ErrorKind::model naming the file where the vectors are not for this
  /// model, ErrorKind::usage where they are more than a chunk takes.
  PlacedWord place(const std::string& key, const LearnedWord& word, const std::string& file);

  /// All vectors that have ids by now, fp32 [n, C]; undefined where there are none.
  at::Tensor rows(size_t encoder) const;

  /// Whether the id is one of a word's vectors, and not its first.
  bool goes_on(size_t encoder, int64_t id) const;

  /// A request's words, made once for requests that name the same. Throws as PromptEmbeddings.
  std::shared_ptr<const PromptEmbeddings> words_of(const Request& request, const std::vector<BundledWord>& bundled);

 private:
  std::string model_;
  std::vector<Encoder> encoders_;
  std::vector<AddOnFile> files_{};
  FileCache<TextualInversion> read_;
  mutable std::mutex mutex_{};
  std::map<std::string, PlacedWord> placed_{};
  std::set<int64_t> firsts_{};
  std::vector<std::vector<at::Tensor>> rows_{};  ///< [encoder][word]
  int64_t count_ = 0;
  std::list<std::pair<std::string, std::shared_ptr<const PromptEmbeddings>>> words_{};  ///< the ones used last in front
};

/// Of a model whose text encoders are described. folder: ModelChoice::embd_dir. Throws as the store.
std::shared_ptr<EmbeddingStore> embedding_store(const ModelDescription& model, const std::string& folder);

/// The words of one request. The tool's whose rules it follows decides what counts as one (Request::compat, and
/// prompt_syntax where that says so): in ComfyUI's only `embedding:NAME` of the folder's; in A1111's names as they are
/// spelled in ids; in diffusers' as they are spelled in letters, within other words too; in sdtorch's own as A1111's
/// and ComfyUI's, and where signs touch a name that begins or ends in one, `<cat>,`.
class PromptEmbeddings {
 public:
  /// Reads the files that the request names. store has to outlive this.
  /// Throws ErrorKind::usage naming --embedding for files that are not there and words that are there twice,
  /// ErrorKind::model naming file and key.
  PromptEmbeddings(EmbeddingStore& store, const Request& request, const std::vector<BundledWord>& bundled);

  /// The text's own ids as Tokenizer::encode gives them, a word's vectors in the place of the ids that spell it.
  /// Throws as Tokenizer::encode and EmbeddingStore::place, and ErrorKind::usage naming a word that several files have.
  std::vector<int64_t> encode(size_t encoder, const std::string& text) const;

  /// A word, and the ids that its vectors have for an encoder.
  struct Named {
    std::string name{}, file{};
    WordIds ids{};
  };
  /// Those that the texts have. Throws as `encode`.
  std::vector<Named> named(size_t encoder, const std::vector<std::string>& texts) const;

  /// As EmbeddingStore::goes_on.
  bool goes_on(size_t encoder, int64_t id) const { return store_.goes_on(encoder, id); }

  /// What the comma rule does to them: A1111's leaves them behind.
  MovedVectors moved_vectors(size_t encoder) const {
    return by_ids_alone_ ? MovedVectors{.staying_from = store_.encoders()[encoder].vocabulary} : MovedVectors{};
  }

  /// For a text encoder that is given such ids. Where all words are given by `--embedding`, which is diffusers' way, a
  /// vector may be where a text is pooled, as there; a folder is A1111's, and pools where the text ends.
  LearnedVectors learned(size_t encoder) const { return {.rows = store_.rows(encoder), .may_end_the_text = may_end_}; }

  /// Reads what the texts name and holds it against the model. Throws as `encode`, and ErrorKind::usage for an
  /// `embedding:NAME` that ComfyUI would not find. What is given and not used becomes a warning.
  void check(const std::vector<std::string>& texts, std::vector<std::string>& warnings) const;

 private:
  /// Where a word's vectors come from.
  struct Source {
    std::string name{};
    std::vector<std::filesystem::path> files{};  ///< several share the name in the folder: it may not be used
    size_t number = 0;                           ///< of the word in the file
    std::optional<BundledWord> bundled{};
    std::optional<size_t> given{};  ///< by which `--embedding`
  };

  void add_given(const Request& request);
  void add_folder();
  size_t add(Source source, const std::vector<std::string>& spellings);
  size_t spell(const std::string& text, size_t meaning);
  std::vector<std::string> spellings_of_given(const std::string& name) const;
  std::vector<std::string> spellings_in_folder(const std::string& name, const std::string& ending) const;
  PlacedWord placed(const Source& source) const;
  void find_used(const std::string& text, std::set<size_t>& used) const;
  std::vector<std::string> unknown_in(const std::string& text) const;
  std::string near_names(const std::string& name) const;

  EmbeddingStore& store_;
  bool bare_ = true, prefixed_ = true, by_letters_ = false, by_ids_alone_ = false, may_end_ = true;
  std::vector<Source> sources_{};
  std::vector<EmbeddingWords> words_{};  ///< one a text encoder
  std::vector<AddedWords> added_{};      ///< likewise, where words are found by their letters
  std::vector<std::string> apart_{};     ///< spellings to set apart
  std::set<std::string> spelled_{};      ///< all spellings, in lower case
  std::vector<std::string> given_{};     ///< Request::embedding
};

/// A request's words for a model, held against it and against the texts of its prompts: see PromptEmbeddings::check.
/// Keeps the model's store alive.
std::shared_ptr<const PromptEmbeddings> resolve_embeddings(const ModelDescription& model, const Request& request,
                                                           const std::vector<ResolvedLora>& loras,
                                                           const std::vector<std::string>& texts,
                                                           std::vector<std::string>& warnings);

}  // namespace sdtorch
