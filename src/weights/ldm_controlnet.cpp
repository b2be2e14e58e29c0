#include <fmt/format.h>

#include "weights/ldm_keys.hpp"

namespace sdtorch {
namespace {

constexpr const char* hint_block = "input_hint_block";
constexpr const char* hint_embedding = "controlnet_cond_embedding";

/// How many of `pattern`'s keys there are, counted from 0 in steps.
int64_t count_of(const KeySet& keys, const char* pattern, int64_t step = 1) {
  int64_t count = 0;
  while (keys.contains(fmt::format(fmt::runtime(pattern), count * step))) ++count;
  return count;
}

}  // namespace

KeyTable controlnet_key_table(const KeySet& keys) {
  const bool foreign = keys.contains("input_hint_block.0.weight");
  constexpr int64_t first_and_last = 2, step = 2;  // activations are numbered, too
  const int64_t hint_blocks = foreign ? count_of(keys, "input_hint_block.{}.weight", step) - first_and_last
                                      : count_of(keys, "controlnet_cond_embedding.blocks.{}.weight");
  const int64_t residuals =
      foreign ? count_of(keys, "zero_convs.{}.0.weight") : count_of(keys, "controlnet_down_blocks.{}.weight");

  std::vector<KeyPair> pairs{{"middle_block_out.0", "controlnet_mid_block"},
                             {fmt::format("{}.0", hint_block), fmt::format("{}.conv_in", hint_embedding)}};
  for (int64_t i = 0; i < hint_blocks; ++i) {
    pairs.push_back({fmt::format("{}.{}", hint_block, step * (i + 1)), fmt::format("{}.blocks.{}", hint_embedding, i)});
  }
  pairs.push_back(
      {fmt::format("{}.{}", hint_block, step * (hint_blocks + 1)), fmt::format("{}.conv_out", hint_embedding)});
  for (int64_t i = 0; i < residuals; ++i) {
    pairs.push_back({fmt::format("zero_convs.{}.0", i), fmt::format("controlnet_down_blocks.{}", i)});
  }
  return unet_key_table(foreign ? ldm_unet_layout(keys) : diffusers_unet_layout(keys), std::move(pairs));
}

}  // namespace sdtorch
