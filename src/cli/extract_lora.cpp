#include "cli/extract_lora.hpp"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "core/dtype.hpp"
#include "core/error.hpp"
#include "core/number.hpp"
#include "core/suggest.hpp"

namespace sdtorch {
namespace {

using Apply = decltype(Flag::apply);

constexpr int64_t most_rank = 4096;

Apply to_rank(int64_t& target) {
  return [&target](const std::string& flag, const std::string& text) {
    const auto number = parse_int(text);
    if (!number || *number < 1 || *number > most_rank) {
      refuse(flag, fmt::format("must be 1…{}, is '{}'", most_rank, text));
    }
    target = *number;
  };
}

Apply to_type(at::ScalarType& target) {
  return [&target](const std::string& flag, const std::string& text) {
    const std::string name = ascii_lower(text);
    check_choice(flag, name, {"fp32", "fp16", "bf16"});
    target = name == "fp32" ? at::kFloat : name == "fp16" ? at::kHalf : at::kBFloat16;
  };
}

constexpr const char* extract_footer =
    R"(A LoRA of the rank that comes nearest to B when it is put on A, of the U-Net
and the text encoders; biases and norms that differ are in it whole. Its names
are kohya's, which A1111, ComfyUI and the like read; diffusers reads it with
--only-products. VAEs are not looked at.

Example:
  sdtorch extract-lora sd15 my-finetune -o mine.safetensors --rank 64
)";

}  // namespace

CommandSpec extract_lora_spec(ExtractLoraOptions& options, FlagGroup general) {
  const Apply add = [&options](const std::string& name, const std::string& text) {
    if (text.empty()) refuse(name, "is empty");
    if (!options.to.empty()) refuse(fmt::format("'{}'", text), "one argument too many: A and B are all");
    (options.from.empty() ? options.from : options.to) = text;
  };
  return {
      "sdtorch extract-lora A B -o OUT.safetensors [FLAGS]",
      "Writes what model B has over model A as a LoRA.",
      {{"Arguments", {{"A B", "", "two models of one family: a folder, a file or org/name in the cache", add, true}}},
       {"Output",
        {{"-o, --output", "OUT.safetensors", "the file; replaced if it exists",
          [&options](const std::string& flag, const std::string& text) {
            if (text.empty()) refuse(flag, "is empty");
            options.output = text;
          }},
         {"--rank", "N", fmt::format("of matrices, 1…{} ({})", most_rank, options.rank), to_rank(options.rank)},
         {"--conv-rank", "N", "of convolutions larger than 1×1 (as --rank)", to_rank(options.conv_rank)},
         {"--dtype", "NAME", "fp32, fp16, bf16: type of the stored numbers (fp16)", to_type(options.dtype)},
         {"--only-products", "", "leaves biases and norms as A has them",
          [&options](const std::string&, const std::string&) { options.only_products = true; }}}},
       std::move(general)},
      extract_footer};
}

void check_extract_lora(const ExtractLoraOptions& options) {
  const char* hint = "see sdtorch extract-lora --help";
  if (options.to.empty()) refuse("A B", "two models are needed", hint);
  if (options.output.empty()) refuse("--output", "the file to write is missing", hint);
  if (ascii_lower(options.output.extension().string()) != ".safetensors") {
    refuse("--output",
           fmt::format("'{}' is no .safetensors, which is what LoRAs are written as", options.output.string()));
  }
}

}  // namespace sdtorch
