#include "pipeline/text_conditions.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "pipeline/settings.hpp"

namespace sdtorch {
namespace {

/// A blend's texts as tokens, and how they are mixed.
struct TokenBlend {
  std::vector<PromptTokens> texts{};
  const PromptBlend* of = nullptr;

  size_t count() const {
    size_t most = 1;
    for (const PromptTokens& text : texts) most = std::max(most, text.count());
    return most;
  }
};

/// What is encoded for a version: blends one behind the other.
struct TokenVersion {
  std::vector<TokenBlend> joined{};

  size_t count() const {
    size_t sum = 0;
    for (const TokenBlend& blend : joined) sum += blend.count();
    return sum;
  }
};

/// One side of guidance, and how it is encoded.
class SideEncoder {
 public:
  SideEncoder(const Components& model, TextMemory& memory, const PromptEmbeddings& words, const PromptRules& rules,
              bool negative)
      : model_(model),
        memory_(memory),
        words_(words),
        rules_({.weighting = rules.weighting,
                .skipped_layers = skipped_layers(rules, takes_penultimate_layer(model.description), negative),
                .words = &words}),
        chunk_rule_(rules.chunks),
        flag_(negative ? "--negative-prompt" : "--prompt") {}

  TokenVersion tokenize(const PromptVersion& version) const {
    TokenVersion tokens;
    for (const PromptBlend& blend : version.joined) {
      TokenBlend& own = tokens.joined.emplace_back();
      own.of = &blend;
      for (const PromptPieces& pieces : blend.texts) own.texts.push_back(tokenized(pieces));
    }
    return tokens;
  }

  /// count: of chunks, at least the version's own.
  EncodedText encode(const TokenVersion& version, size_t count) const {
    std::vector<at::Tensor> contexts;
    EncodedText encoded;
    size_t rest = count - version.count();
    for (const TokenBlend& blend : version.joined) {
      const bool last = &blend == &version.joined.back();
      const EncodedText own = mixed(blend, blend.count() + (last ? rest : 0));
      if (contexts.empty()) encoded.pooled = own.pooled;
      contexts.push_back(own.context);
    }
    encoded.context = contexts.size() == 1 ? contexts.front() : at::cat(contexts, 1);
    return encoded;
  }

  /// The pooled output of a text as it is written: compel's.
  at::Tensor pooled_of(const std::string& text) const {
    PromptTokens tokens = tokenize_pieces(model_, words_, {{.text = text}}, ChunkRule::plain, flag_);
    for (auto& chunks : tokens.chunks) chunks.resize(1);
    return encode_tokens(model_, memory_, tokens, 1, rules_).pooled;
  }

  /// int64 [1, 77·count]: those of the first encoder.
  at::Tensor rows(const TokenVersion& version, size_t count) const {
    std::vector<at::Tensor> rows;
    for (const TokenBlend& blend : version.joined) rows.push_back(blend.texts.front().rows(model_, 0, blend.count()));
    const size_t rest = count - version.count();
    if (rest > 0) rows.push_back(tokenized({PromptPiece{}}).rows(model_, 0, rest));
    return at::cat(rows).reshape({1, -1});
  }

 private:
  PromptTokens tokenized(const PromptPieces& pieces) const {
    return tokenize_pieces(model_, words_, pieces, chunk_rule_, flag_);
  }

  EncodedText mixed(const TokenBlend& blend, size_t count) const {
    EncodedText mixed = encode_tokens(model_, memory_, blend.texts.front(), count, rules_);
    if (blend.texts.size() > 1) {
      double sum = 0;
      for (const double weight : blend.of->weights) sum += weight;
      at::Tensor context;
      for (size_t i = 0; i < blend.texts.size(); ++i) {
        const double share = blend.of->normalized ? blend.of->weights[i] / sum : blend.of->weights[i];
        const at::Tensor own =
            encode_tokens(model_, memory_, blend.texts[i], count, rules_).context.to(at::kFloat) * share;
        context = context.defined() ? context + own : own;
      }
      mixed.context = context.to(mixed.context.scalar_type());
    } else if (!blend.of->normalized) {
      mixed.context = mixed.context * blend.of->weights.front();
    }
    if (blend.of->strength != 1) {
      const at::Tensor empty = encode_tokens(model_, memory_, tokenized({PromptPiece{}}), count, rules_).context;
      mixed.context = empty + (mixed.context - empty) * blend.of->strength;
    }
    return mixed;
  }

  const Components& model_;
  TextMemory& memory_;
  const PromptEmbeddings& words_;
  EncodingRules rules_;
  ChunkRule chunk_rule_;
  const char* flag_;
};

/// A part of a prompt as tokens: each different version once.
struct TokenPart {
  std::vector<TokenVersion> versions{};
  std::vector<size_t> numbers{};  ///< one a version of the part: which of these it is

  TokenPart(const SideEncoder& side, const PromptPart& part) {
    std::vector<const PromptVersion*> known;
    for (const PromptVersion& version : part.versions) {
      const auto same =
          std::ranges::find_if(known, [&](const PromptVersion* other) { return other->joined == version.joined; });
      numbers.push_back(static_cast<size_t>(same - known.begin()));
      if (same != known.end()) continue;
      known.push_back(&version);
      versions.push_back(side.tokenize(version));
    }
  }

  size_t count() const {
    size_t most = 1;
    for (const TokenVersion& version : versions) most = std::max(most, version.count());
    return most;
  }
};

TextTimeline timeline_of(const SideEncoder& side, const PromptPart& part, const TokenPart& tokens, size_t count,
                         const at::Tensor& pooled) {
  std::vector<EncodedText> encoded;
  for (const TokenVersion& version : tokens.versions) {
    encoded.push_back(side.encode(version, count));
    if (pooled.defined()) encoded.back().pooled = pooled;
  }
  TextTimeline timeline;
  for (size_t i = 0; i < part.versions.size(); ++i) {
    timeline.last_calls.push_back(part.versions[i].last_call);
    timeline.texts.push_back(encoded[tokens.numbers[i]]);
  }
  return timeline;
}

/// Fills all parts up to the longest by their last vectors.
void lengthen(std::vector<TextPart>& parts) {
  int64_t longest = 0;
  for (const TextPart& part : parts) longest = std::max(longest, part.timeline.texts.front().context.size(1));
  for (TextPart& part : parts) {
    for (EncodedText& text : part.timeline.texts) {
      const int64_t missing = longest - text.context.size(1);
      if (missing == 0) continue;
      const at::Tensor last = text.context.slice(1, -1);
      text.context = at::cat({text.context, last.expand({-1, missing, -1})}, 1);
    }
  }
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

TextTimeline zeros_like(const EncodedText& text) {
  return {.last_calls = {0},
          .texts = {{.context = at::zeros_like(text.context), .pooled = at::zeros_like(text.pooled)}}};
}

}  // namespace

size_t TextTimeline::at_call(int64_t call) const {
  const auto found = std::ranges::find_if(last_calls, [&](int64_t last) { return call <= last; });
  return found == last_calls.end() ? 0 : static_cast<size_t>(found - last_calls.begin());
}

bool TextConditions::composed() const { return parts.size() > 1 || (parts.size() == 1 && parts.front().weight != 1); }

TextConditions encode_prompts(const Components& model, TextMemory& memory, const Request& request,
                              const ResolvedPrompts& prompts, const PromptEmbeddings& words, bool sums) {
  const SideEncoder side(model, memory, words, prompts.rules, /*negative=*/false);
  const SideEncoder away(model, memory, words, prompts.rules, /*negative=*/true);
  std::vector<TokenPart> parts;
  for (const PromptPart& part : prompts.prompt.parts) parts.emplace_back(side, part);
  const PromptPart& negative = prompts.negative.parts.front();
  const TokenPart negative_tokens(away, negative);
  const bool apart = prompts.rules.sides_apart || prompts.composed();
  const size_t both = std::max(parts.front().count(), negative_tokens.count());
  const auto count_of = [&](const TokenPart& part) { return apart ? part.count() : both; };

  TextConditions text{.tokens = side.rows(parts.front().versions.front(), count_of(parts.front())),
                      .uncond_tokens = away.rows(negative_tokens.versions.front(), count_of(negative_tokens))};
  const bool takes_scale = model.description.unet.time_cond_proj_dim > 0;
  const bool conditional = takes_scale || request.cfg_scale != 0 || request.cfg_plus_plus;
  const bool unconditional = !takes_scale && (request.cfg_scale != 1 || request.cfg_plus_plus || sums);
  const auto& xl = model.description.xl;
  const bool zeros = xl && xl->zeros_for_no_negative && !request.negative_prompt;
  const auto pooled = [&](const SideEncoder& of, const PromptReading& reading) {
    return xl && reading.pooled_apart ? of.pooled_of(reading.pooled_text) : at::Tensor();
  };
  const auto encode_part = [&](size_t i) {
    return timeline_of(side, prompts.prompt.parts[i], parts[i], count_of(parts[i]), pooled(side, prompts.prompt));
  };
  if (conditional) {
    for (size_t i = 0; i < parts.size(); ++i) {
      text.parts.push_back({.weight = prompts.prompt.parts[i].weight, .timeline = encode_part(i)});
    }
    lengthen(text.parts);
    text.conditional = condition_of(text.parts.front().timeline.texts.front());
  }
  if (unconditional) {
    text.negative =
        zeros ? zeros_like(conditional ? text.parts.front().timeline.texts.front() : encode_part(0).texts.front())
              : timeline_of(away, negative, negative_tokens, count_of(negative_tokens), pooled(away, prompts.negative));
    text.unconditional = condition_of(text.negative.texts.front());
  }
  if (xl) add_time_ids(model, request, text);
  return text;
}

}  // namespace sdtorch
