#include "pipeline/text_conditions.hpp"

#include <algorithm>
#include <optional>
#include <vector>

#include "core/error.hpp"
#include "pipeline/embeddings.hpp"
#include "pipeline/settings.hpp"

namespace sdtorch {
namespace {

std::vector<int64_t> encode(const PromptEmbeddings& embeddings, size_t encoder, const std::string& text,
                            const char* flag) {
  try {
    return embeddings.encode(encoder, text);
  } catch (const Error& error) {  // the tokenizer knows the offset, not which prompt it reads
    ErrorParts parts = error.parts();
    parts.file = flag;
    throw Error(error.kind(), std::move(parts));
  }
}

/// [k, 77]: one row a chunk, as the text encoder takes them.
at::Tensor token_rows(const TokenChunks& chunks) {
  std::vector<at::Tensor> rows;
  for (const std::vector<int64_t>& chunk : chunks.chunks) rows.push_back(at::tensor(chunk, at::kLong));
  return at::stack(rows);
}

/// bool [k, 77]: what is not padding, whatever ids the text has.
at::Tensor token_mask(const TokenChunks& chunks, const Tokenizer& tokenizer) {
  std::vector<at::Tensor> rows;
  for (const size_t length : chunks.lengths) {
    const int64_t used = static_cast<int64_t>(length) + tokenizer.ids_around();
    rows.push_back(at::arange(tokenizer.model_max_length()) < used);
  }
  return at::stack(rows);
}

/// One prompt as every text encoder reads it.
struct PromptTokens {
  std::vector<std::vector<int64_t>> ids{};  ///< the text's own, one list an encoder
  bool words_may_end = true;                ///< see LearnedVectors

  size_t chunks(const Components& model) const {
    size_t count = 1;
    for (size_t i = 0; i < ids.size(); ++i) {
      count = std::max(count, cut(model, i, 1).chunks.size());
    }
    return count;
  }

  TokenChunks cut(const Components& model, size_t encoder, size_t count) const {
    return model.description.text_encoders[encoder].tokenizer.chunk(
        ids[encoder], count, [&](int64_t id) { return model.description.embeddings->goes_on(encoder, id); });
  }

  /// [count, 77]
  at::Tensor rows(const Components& model, size_t encoder, size_t count) const {
    return token_rows(cut(model, encoder, count));
  }

  /// bool [count, 77]
  at::Tensor mask(const Components& model, size_t encoder, size_t count) const {
    return token_mask(cut(model, encoder, count), model.description.text_encoders[encoder].tokenizer);
  }
};

PromptTokens tokenize(const PromptEmbeddings& embeddings, const Components& model, const std::string& text,
                      const char* flag) {
  PromptTokens tokens{.words_may_end = embeddings.may_end_the_text()};
  for (size_t i = 0; i < model.text_encoders.size(); ++i) tokens.ids.push_back(encode(embeddings, i, text, flag));
  return tokens;
}

/// Each chunk is encoded by itself, and the results are joined along the token axis.
EncodedText encode_rows(const Components& model, const PromptTokens& tokens, size_t count) {
  EncodedText encoded;
  std::vector<at::Tensor> contexts;
  for (size_t i = 0; i < model.text_encoders.size(); ++i) {
    const at::Tensor rows = tokens.rows(model, i, count).to(model.device);
    const LearnedVectors learned{.rows = model.description.embeddings->rows(i),
                                 .may_end_the_text = tokens.words_may_end};
    at::Tensor hidden;
    if (model.description.xl) {
      const ClipTextStates states =
          std::get<std::shared_ptr<ClipTextModel>>(model.text_encoders[i])->encode(rows, learned);
      hidden = states.penultimate;
      if (states.pooled.defined()) encoded.pooled = states.pooled.slice(0, 0, 1);
    } else {
      hidden = encode_text(model.text_encoders[i], rows, tokens.mask(model, i, count).to(model.device), learned);
    }
    contexts.push_back(hidden.reshape({1, -1, hidden.size(-1)}));
  }
  encoded.context = contexts.size() == 1 ? contexts.front() : at::cat(contexts, -1);
  return encoded;
}

EncodedText encode_once(const Components& model, TextMemory& memory, const PromptTokens& tokens, size_t count) {
  if (auto known = memory.find(tokens.ids, count)) return *known;
  EncodedText encoded = encode_rows(model, tokens, count);
  memory.keep(tokens.ids, count, encoded);
  return encoded;
}

// The scores that diffusers' refiner asks for and asks to keep away from.
constexpr double aesthetic_score = 6.0;
constexpr double negative_aesthetic_score = 2.5;

/// What SDXL's U-Net is told of the picture, for the prompt and for what guidance leads away from. As in diffusers, a
/// model that is told a score forgets the crop on the negative side.
void add_time_ids(const Components& model, const Request& request, TextConditions& text) {
  const PixelPair size{.vertical = request.height.value(), .horizontal = request.width.value()};
  const PixelPair original = request.original_size.value_or(size), target = request.target_size.value_or(size);
  const auto row = [&](PixelPair crop, std::optional<double> score) {
    std::vector<double> ids;
    for (const PixelPair& pair : {original, crop}) {
      ids.push_back(static_cast<double>(pair.vertical));
      ids.push_back(static_cast<double>(pair.horizontal));
    }
    if (score) {
      ids.push_back(*score);
    } else {
      ids.push_back(static_cast<double>(target.vertical));
      ids.push_back(static_cast<double>(target.horizontal));
    }
    return at::tensor(ids, at::kFloat).unsqueeze(0).to(model.device);
  };
  const PixelPair crop = request.crop.value_or(PixelPair{});
  const bool scored = model.description.xl->aesthetic_score;
  const at::Tensor time_ids = scored ? row(crop, aesthetic_score) : row(crop, std::nullopt);
  if (text.conditional) text.conditional->time_ids = time_ids;
  if (text.unconditional) text.unconditional->time_ids = scored ? row({}, negative_aesthetic_score) : time_ids;
}

Condition condition_of(const EncodedText& text) { return {.context = text.context, .pooled = text.pooled}; }

Condition zeros_like(const EncodedText& text) {
  return {.context = at::zeros_like(text.context), .pooled = at::zeros_like(text.pooled)};
}

}  // namespace

std::optional<EncodedText> TextMemory::find(const std::vector<std::vector<int64_t>>& ids, size_t chunks) {
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find_if(
      texts_, [&](const auto& known) { return known.first.second == chunks && known.first.first == ids; });
  if (found == texts_.end()) return std::nullopt;
  texts_.splice(texts_.begin(), texts_, found);
  return found->second;
}

void TextMemory::keep(const std::vector<std::vector<int64_t>>& ids, size_t chunks, EncodedText text) {
  constexpr size_t most_texts = 64;  // of SDXL's, 20 MB in all
  const std::lock_guard lock(mutex_);
  texts_.emplace_front(Key(ids, chunks), std::move(text));
  if (texts_.size() > most_texts) texts_.pop_back();
}

void TextMemory::clear() {
  const std::lock_guard lock(mutex_);
  texts_.clear();
}

TextConditions encode_prompts(const Components& model, TextMemory& memory, const Request& request,
                              const PromptEmbeddings& embeddings) {
  const PromptTokens prompt = tokenize(embeddings, model, request.prompt, "--prompt");
  const PromptTokens negative = tokenize(embeddings, model, request.negative_prompt.value_or(""), "--negative-prompt");
  const size_t count = std::max(prompt.chunks(model), negative.chunks(model));
  TextConditions text{.tokens = prompt.rows(model, 0, count).reshape({1, -1}),
                      .uncond_tokens = negative.rows(model, 0, count).reshape({1, -1})};
  const bool takes_scale = model.description.unet.time_cond_proj_dim > 0;
  const bool conditional = takes_scale || request.cfg_scale != 0 || request.cfg_plus_plus;
  const bool unconditional = !takes_scale && (request.cfg_scale != 1 || request.cfg_plus_plus);
  const auto& xl = model.description.xl;
  const bool zeros = xl && xl->zeros_for_no_negative && !request.negative_prompt;
  const auto encoded = [&](const PromptTokens& tokens) { return encode_once(model, memory, tokens, count); };
  if (conditional) text.conditional = condition_of(encoded(prompt));
  if (unconditional) text.unconditional = zeros ? zeros_like(encoded(prompt)) : condition_of(encoded(negative));
  if (xl) add_time_ids(model, request, text);
  return text;
}

}  // namespace sdtorch
