#include "networks/xlm_roberta.hpp"

#include <ATen/ATen.h>

#include "networks/golden_network.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/golden.hpp"
#include "support/tolerance.hpp"
#include "weights/bind.hpp"

using namespace sdtorch;

namespace {

Outputs run_roberta(const GoldenNetwork& golden, at::ScalarType type, at::Device device) {
  XlmRobertaTextModel model(XlmRobertaConfig::from_json(golden.config, golden.config_file));
  bind_weights(model, golden.weights, type, device, "text_encoder");
  return {{"hidden", model.forward(golden.inputs.at("tokens").to(device), golden.inputs.at("mask").to(device))}};
}

XlmRobertaConfig small_config(nlohmann::json changes = nlohmann::json::object()) {
  nlohmann::json json = {
      {"vocab_size", 10}, {"hidden_size", 8}, {"num_attention_heads", 2}, {"max_position_embeddings", 6}};
  json.update(changes);
  return XlmRobertaConfig::from_json(json, "config");
}

}  // namespace

TEST_CASE("AltDiffusion's text encoders equal diffusers'", "[networks]") {
  for (const char* name : {"alt_encoder", "alt_encoder_pre", "alt_encoder_unmasked"}) {
    const GoldenNetwork golden = load_golden_network(golden_path("multilingual"), name);
    check_exact(golden, run_roberta, tolerance::tensor_relative);
    check_half_types(golden, run_roberta);
  }
}

TEST_CASE("XLM-RoBERTa has no embedding for other tokens and longer texts", "[networks]") {
  XlmRobertaTextModel model(small_config());
  const at::Tensor seen = at::ones({1, 4}, at::kBool);
  for (const int64_t token : {int64_t{-1}, int64_t{10}}) {
    const at::Tensor tokens = at::tensor({int64_t{3}, token, int64_t{3}, int64_t{3}}).unsqueeze(0);
    CHECK_THROWS_WITH(model.forward(tokens, seen), Catch::Contains("token " + std::to_string(token)));
  }
  CHECK_THROWS_WITH(model.forward(at::zeros({1, 5}, at::kLong), at::ones({1, 5}, at::kBool)),
                    Catch::Contains("5 tokens") && Catch::Contains("6"));
}

TEST_CASE("a config of XLM-RoBERTa is read strictly", "[networks]") {
  CHECK(small_config().longest_text() == 4);
  check_error(ErrorKind::model, "unknown key", [] { small_config({{"surprise", 1}}); });
  check_error(ErrorKind::model, "position_embedding_type", [] {
    small_config({{"position_embedding_type", "relative_key"}});
  });
  check_error(ErrorKind::model, "num_attention_heads", [] { small_config({{"num_attention_heads", 3}}); });
  check_error(ErrorKind::model, "max_position_embeddings", [] { small_config({{"pad_token_id", 5}}); });
  check_error(ErrorKind::model, "hidden_act", [] { small_config({{"hidden_act", "tanhish"}}); });
  check_error(ErrorKind::model, "is_decoder", [] { small_config({{"is_decoder", true}}); });
}
