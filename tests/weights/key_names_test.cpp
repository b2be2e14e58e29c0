#include "weights/key_names.hpp"

#include "support/errors.hpp"

using sdtorch::canonical_key;
using sdtorch::ErrorKind;
using sdtorch::StateDict;

TEST_CASE("old names of tensors become the networks' own", "[weights]") {
  const std::pair<const char*, const char*> cases[] = {
      {"text_model.encoder.layers.0.mlp.fc1.weight", "encoder.layers.0.mlp.fc1.weight"},
      {"encoder.layers.0.mlp.fc1.weight", "encoder.layers.0.mlp.fc1.weight"},
      {"encoder.mid_block.attentions.0.query.weight", "encoder.mid_block.attentions.0.to_q.weight"},
      {"decoder.mid_block.attentions.0.key.bias", "decoder.mid_block.attentions.0.to_k.bias"},
      {"decoder.mid_block.attentions.0.value.bias", "decoder.mid_block.attentions.0.to_v.bias"},
      {"decoder.mid_block.attentions.0.proj_attn.weight", "decoder.mid_block.attentions.0.to_out.0.weight"},
      {"decoder.mid_block.attentions.0.to_out.0.weight", "decoder.mid_block.attentions.0.to_out.0.weight"},
      {"mid_block.attentions.0.proj_in.weight", "mid_block.attentions.0.proj_in.weight"},
  };
  for (const auto& [old, name] : cases) CHECK(canonical_key(old) == name);
}

TEST_CASE("attention stored as 1×1 convolutions becomes matrices, other convolutions stay", "[weights]") {
  const StateDict weights = sdtorch::with_canonical_keys({
      {"decoder.mid_block.attentions.0.query.weight", {at::zeros({4, 4, 1, 1}), "x"}},
      {"decoder.mid_block.attentions.0.to_out.0.weight", {at::zeros({4, 4}), "x"}},
      {"decoder.mid_block.attentions.0.group_norm.weight", {at::zeros({4}), "x"}},
      {"quant_conv.weight", {at::zeros({8, 8, 1, 1}), "x"}},
  });
  CHECK(weights.at("decoder.mid_block.attentions.0.to_q.weight").tensor.sizes() == at::IntArrayRef({4, 4}));
  CHECK(weights.at("decoder.mid_block.attentions.0.to_out.0.weight").tensor.sizes() == at::IntArrayRef({4, 4}));
  CHECK(weights.at("quant_conv.weight").tensor.dim() == 4);
}

TEST_CASE("two spellings of one tensor, and other layouts, are refused", "[weights]") {
  const auto rename = [](const char* first, const char* second) {
    return sdtorch::with_canonical_keys({{first, {at::zeros(1), "x"}}, {second, {at::zeros(1), "y"}}});
  };
  check_error(ErrorKind::model, "the weights of final_layer_norm.bias occur twice",
              [&] { rename("final_layer_norm.bias", "text_model.final_layer_norm.bias"); });
  check_error(ErrorKind::model, "x: model.diffusion_model.out.bias: this is a key of the original",
              [&] { rename("model.diffusion_model.out.bias", "z"); });
  check_error(ErrorKind::model, "autoencoder", [&] { rename("a", "decoder.up.0.block.0.conv1.bias"); });
}
