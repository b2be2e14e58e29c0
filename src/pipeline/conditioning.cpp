#include "sdtorch/pipeline/conditioning.hpp"

#include <algorithm>

#include "sdtorch/core/error.hpp"

namespace sdtorch {
namespace {

std::vector<int64_t> encode(const ClipTokenizer& tokenizer, const std::string& text, const char* flag) {
  try {
    return tokenizer.encode(text);
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

/// [k, 77] → [1, 77·k, C]: each chunk is encoded by itself, and the results are joined along the token axis.
at::Tensor encode_rows(const Components& model, const at::Tensor& rows) {
  const at::Tensor hidden = model.text_encoder->forward(rows.to(model.device));
  return hidden.reshape({1, -1, hidden.size(-1)});
}

}  // namespace

Conditioning encode_prompts(const Components& model, const Request& request) {
  const ClipTokenizer& tokenizer = model.description.tokenizer;
  const std::vector<int64_t> prompt = encode(tokenizer, request.prompt, "--prompt");
  const std::vector<int64_t> negative = encode(tokenizer, request.negative_prompt, "--negative-prompt");
  const size_t count = std::max(tokenizer.chunk(prompt).chunks.size(), tokenizer.chunk(negative).chunks.size());
  const at::Tensor rows = token_rows(tokenizer.chunk(prompt, count));
  const at::Tensor uncond_rows = token_rows(tokenizer.chunk(negative, count));

  Conditioning text{.tokens = rows.reshape({1, -1}), .uncond_tokens = uncond_rows.reshape({1, -1})};
  if (request.cfg_scale != 0) text.context = encode_rows(model, rows);
  if (request.cfg_scale != 1) text.uncond_context = encode_rows(model, uncond_rows);
  return text;
}

}  // namespace sdtorch
