#include "pipeline/prompt_encoding.hpp"

#include <c10/core/Stream.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <cstring>

#include "core/error.hpp"
#include "pipeline/prompt_weights.hpp"

namespace sdtorch {
namespace {

template <typename Value>
void append_bytes(std::string& key, const Value& value) {
  std::array<char, sizeof(Value)> bytes{};
  std::memcpy(bytes.data(), &value, sizeof(Value));
  key.append(bytes.data(), bytes.size());
}

/// All that the encoding depends on.
std::string key_of(const PromptTokens& tokens, size_t count, const EncodingRules& rules) {
  std::string key;
  append_bytes(key, rules.skipped_layers);
  append_bytes(key, rules.weighting);
  append_bytes(key, count);
  for (const auto& chunks : tokens.chunks) {
    append_bytes(key, chunks.size());
    for (const WeightedChunk& chunk : chunks) {
      append_bytes(key, chunk.tokens.size());
      for (const WeightedToken& token : chunk.tokens) {
        append_bytes(key, token.id);
        append_bytes(key, token.weight);
        if (rules.weighting == PromptWeighting::compel) append_bytes(key, token.piece);
      }
      append_bytes(key, chunk.strays.size());
      for (const StrayVector& stray : chunk.strays) {
        append_bytes(key, stray.place);
        append_bytes(key, stray.id);
      }
    }
  }
  return key;
}

/// fp32 [count, 77] on the CPU: 1 for start, end and padding.
at::Tensor weight_rows(const std::vector<WeightedChunk>& chunks, const Tokenizer& tokenizer, size_t count) {
  at::Tensor weights = at::ones({static_cast<int64_t>(count), tokenizer.model_max_length()});
  auto rows = weights.accessor<float, 2>();
  const int64_t first = tokenizer.start_id() ? 1 : 0;
  for (size_t i = 0; i < chunks.size(); ++i) {
    for (size_t j = 0; j < chunks[i].tokens.size(); ++j) {
      rows[static_cast<int64_t>(i)][first + static_cast<int64_t>(j)] = static_cast<float>(chunks[i].tokens[j].weight);
    }
  }
  return weights;
}

/// bool [count, 77]: what is not padding, whatever ids the text has.
at::Tensor token_mask(const std::vector<WeightedChunk>& chunks, const Tokenizer& tokenizer, size_t count) {
  std::vector<at::Tensor> rows;
  for (size_t i = 0; i < count; ++i) {
    const int64_t length = i < chunks.size() ? std::ssize(chunks[i].tokens) : 0;
    rows.push_back(at::arange(tokenizer.model_max_length()) < length + tokenizer.ids_around());
  }
  return at::stack(rows);
}

/// Chunks by one text encoder.
struct EncodedChunks {
  at::Tensor hidden{};  ///< [n, 77, C]
  at::Tensor pooled{};  ///< [n, P]; SDXL's
};

EncodedText encode_rows(const Components& model, const PromptTokens& tokens, size_t count, const EncodingRules& rules) {
  EncodedText encoded;
  std::vector<at::Tensor> contexts;
  for (size_t i = 0; i < model.text_encoders.size(); ++i) {
    const Tokenizer& tokenizer = model.description.text_encoders[i].tokenizer;
    const LearnedVectors learned = rules.words->learned(i);
    const auto encode = [&](const at::Tensor& ids, const at::Tensor& mask, const at::Tensor& seen) -> EncodedChunks {
      const ClipTextUse use{.skipped = rules.skipped_layers, .key_mask = seen, .learned = learned};
      const TextEncoder& encoder = model.text_encoders[i];
      if (!model.description.xl) return {.hidden = encode_text(encoder, ids, mask, use)};
      const ClipTextStates states = std::get<std::shared_ptr<ClipTextModel>>(encoder)->encode(ids, use);
      return {.hidden = states.penultimate, .pooled = states.pooled};
    };
    const at::Tensor rows = tokens.rows(model, i, count).to(model.device);
    const at::Tensor mask = token_mask(tokens.chunks[i], tokenizer, count).to(model.device);
    auto [hidden, pooled] = encode(rows, mask, {});
    if (pooled.defined()) encoded.pooled = pooled.slice(0, 0, 1);
    const at::Tensor weights = weight_rows(tokens.chunks[i], tokenizer, count);
    if (rules.weighting != PromptWeighting::none && !weights.eq(1).all().item<bool>()) {
      const EncodedRows own{.hidden = hidden,
                            .weights = weights.to(model.device),
                            .empty =
                                [&] {
                                  const at::Tensor ids = at::tensor(tokenizer.framed({}), at::kLong).unsqueeze(0);
                                  const at::Tensor no_text = token_mask({}, tokenizer, 1);
                                  return encode(ids.to(model.device), no_text.to(model.device), {}).hidden;
                                },
                            .seeing = [&](const at::Tensor& seen) { return encode(rows, mask, seen).hidden; }};
      hidden = weighted_hidden(own, tokens.chunks[i], tokens.pieces, tokenizer, rules.weighting);
    }
    contexts.push_back(hidden.reshape({1, -1, hidden.size(-1)}));
  }
  encoded.context = contexts.size() == 1 ? contexts.front() : at::cat(contexts, -1);
  return encoded;
}

size_t text_bytes(const EncodedText& text) {
  return text.context.nbytes() + (text.pooled.defined() ? text.pooled.nbytes() : 0);
}

/// In which pictures are drawn: what another stream made must not be given back before it has been read there.
c10::Stream default_stream(at::Device device) {
  return c10::impl::VirtualGuardImpl(device.type()).getDefaultStream(device);
}

}  // namespace

std::optional<EncodedText> TextMemory::find(const std::string& key) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::ranges::find(texts_, key, [](const auto& known) { return known.first; });
    if (found != texts_.end()) {
      texts_.splice(texts_.begin(), texts_, found);
      return found->second;
    }
  }
  return behind_ ? behind_->find(key) : std::nullopt;
}

void TextMemory::keep(std::string key, EncodedText text) {
  for (const at::Tensor& tensor : {text.context, text.pooled}) {
    if (tensor.defined() && tensor.is_cuda()) tensor.record_stream(default_stream(tensor.device()));
  }
  const std::lock_guard lock(mutex_);
  bytes_ += text_bytes(text);
  texts_.emplace_front(std::move(key), std::move(text));
  while (bytes_ > most_bytes && texts_.size() > 1) {
    bytes_ -= text_bytes(texts_.back().second);
    texts_.pop_back();
  }
}

void TextMemory::clear() {
  const std::lock_guard lock(mutex_);
  texts_.clear();
  bytes_ = 0;
}

void TextMemory::hand_on() {
  std::list<std::pair<std::string, EncodedText>> texts;
  {
    const std::lock_guard lock(mutex_);
    texts.swap(texts_);
    bytes_ = 0;
  }
  for (auto text = texts.rbegin(); text != texts.rend(); ++text) {
    behind_->keep(std::move(text->first), std::move(text->second));
  }
}

size_t PromptTokens::count() const {
  size_t most = 1;
  for (const auto& own : chunks) most = std::max(most, own.size());
  return most;
}

at::Tensor PromptTokens::rows(const Components& model, size_t encoder, size_t count) const {
  const Tokenizer& tokenizer = model.description.text_encoders[encoder].tokenizer;
  std::vector<at::Tensor> rows;
  for (size_t i = 0; i < count; ++i) {
    const WeightedChunk chunk = i < chunks[encoder].size() ? chunks[encoder][i] : WeightedChunk{};
    std::vector<int64_t> ids;
    for (const WeightedToken& token : chunk.tokens) ids.push_back(token.id);
    std::vector<int64_t> row = tokenizer.framed(ids);
    for (const StrayVector& stray : chunk.strays) row[stray.place + (tokenizer.start_id() ? 1 : 0)] = stray.id;
    rows.push_back(at::tensor(row, at::kLong));
  }
  return at::stack(rows);
}

PromptTokens tokenize_pieces(const Components& model, const PromptEmbeddings& words, const PromptPieces& pieces,
                             ChunkRule rule, const char* flag) {
  PromptTokens tokens{.pieces = pieces};
  for (size_t i = 0; i < model.description.text_encoders.size(); ++i) {
    const Tokenizer& tokenizer = model.description.text_encoders[i].tokenizer;
    const TokenSource source{.encode = [&](std::string_view text) { return words.encode(i, std::string(text)); },
                             .goes_on = [&](int64_t id) { return words.goes_on(i, id); }};
    try {
      tokens.chunks.push_back(
          cut_into_chunks(tokenizer, token_groups(source, pieces, rule), rule, words.moved_vectors(i)));
    } catch (const Error& error) {  // the tokenizer knows the offset, not which prompt it reads
      ErrorParts parts = error.parts();
      parts.file = flag;
      throw Error(error.kind(), std::move(parts));
    }
  }
  return tokens;
}

EncodedText encode_tokens(const Components& model, TextMemory& memory, const PromptTokens& tokens, size_t count,
                          const EncodingRules& rules) {
  std::string key = key_of(tokens, count, rules);
  if (auto known = memory.find(key)) return *known;
  EncodedText encoded = encode_rows(model, tokens, count, rules);
  memory.keep(std::move(key), encoded);
  return encoded;
}

}  // namespace sdtorch
