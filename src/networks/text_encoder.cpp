#include "networks/text_encoder.hpp"

namespace sdtorch {
namespace {

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

}  // namespace

int64_t context_width(const TextEncoderConfig& config) {
  return std::visit(Overloaded{[](const ClipTextConfig& clip) { return clip.hidden_size; },
                               [](const XlmRobertaConfig& roberta) { return roberta.project_dim; }},
                    config);
}

const char* context_width_key(const TextEncoderConfig& config) {
  return std::holds_alternative<XlmRobertaConfig>(config) ? "project_dim" : "hidden_size";
}

int64_t vocab_size(const TextEncoderConfig& config) {
  return std::visit([](const auto& any) { return any.vocab_size; }, config);
}

int64_t embedding_width(const TextEncoderConfig& config) {
  return std::visit([](const auto& any) { return any.hidden_size; }, config);
}

int64_t longest_text(const TextEncoderConfig& config) {
  return std::visit(Overloaded{[](const ClipTextConfig& clip) { return clip.max_position_embeddings; },
                               [](const XlmRobertaConfig& roberta) { return roberta.longest_text(); }},
                    config);
}

int64_t layer_count(const TextEncoderConfig& config) {
  return std::visit([](const auto& any) { return any.num_hidden_layers; }, config);
}

at::Tensor encode_text(const TextEncoder& encoder, const at::Tensor& tokens, const at::Tensor& mask,
                       const ClipTextUse& use) {
  const at::Tensor seen = use.key_mask.defined() ? mask.logical_and(use.key_mask) : mask;
  return std::visit(Overloaded{[&](const std::shared_ptr<ClipTextModel>& clip) { return clip->forward(tokens, use); },
                               [&](const std::shared_ptr<XlmRobertaTextModel>& roberta) {
                                 return roberta->forward(tokens, seen, use.learned.rows);
                               }},
                    encoder);
}

}  // namespace sdtorch
