#include "cli/model_commands.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string_view>
#include <utility>

#include "core/error.hpp"
#include "core/number.hpp"
#include "core/suggest.hpp"
#include "pipeline/prompt_rules.hpp"
#include "recipes/model_layout.hpp"

namespace sdtorch {
namespace {

using Apply = decltype(Flag::apply);

std::string not_empty(const std::string& flag, const std::string& text) {
  if (text.empty()) refuse(flag, "is empty");
  return text;
}

Apply into(std::filesystem::path& target) {
  return [&target](const std::string& flag, const std::string& text) { target = not_empty(flag, text); };
}

Apply into(std::string& target) {
  return [&target](const std::string& flag, const std::string& text) { target = not_empty(flag, text); };
}

Apply as_switch(bool& target) {
  return [&target](const std::string&, const std::string&) { target = true; };
}

Apply choice_of(std::string& target, std::vector<std::string> choices) {
  return [&target, choices = std::move(choices)](const std::string& flag, const std::string& text) {
    const std::string lower = ascii_lower(text);
    check_choice(flag, lower, choices);
    target = lower;
  };
}

/// Decimal units as file sizes are given, and binary ones with an i.
constexpr std::pair<std::string_view, double> units[] = {
    {"kib", 1024.0}, {"mib", 1048576.0}, {"gib", 1073741824.0}, {"kb", 1e3}, {"mb", 1e6}, {"gb", 1e9}, {"tb", 1e12}};

/// "5GB" → bytes
int64_t bytes_of_size(const std::string& flag, const std::string& text) {
  std::string lower = ascii_lower(text);
  std::erase(lower, ' ');
  const auto* unit = std::ranges::find_if(units, [&](const auto& u) { return lower.ends_with(u.first); });
  const bool known = unit != std::end(units);
  const auto number = parse_real(known ? lower.substr(0, lower.size() - unit->first.size()) : lower);
  const double bytes = number.value_or(0) * (known ? unit->second : 1);
  constexpr double most = 1e15;
  if (!number || bytes < 1 || bytes > most) {
    refuse(flag, fmt::format("'{}' is no size", text), "5GB, 500MB, 2GiB or bytes");
  }
  return static_cast<int64_t>(std::floor(bytes));
}

FlagGroup output_group(ModelTarget& output, std::string& dtype, const char* kept) {
  return {
      "Output",
      {{"--dtype", "NAME", fmt::format("keep, fp32, fp16, bf16: type of the stored weights (keep: {})", kept),
        [&dtype](const std::string& flag, const std::string& text) {
          dtype = ascii_lower(text);
          check_choice(flag, dtype, {"keep", "fp32", "fp16", "bf16"});
        }},
       {"--pruned", "",
        "without what no picture is drawn with: moving averages, training state and unknown tensors of files; the "
        "safety checker, image encoder and buffers of folders",
        as_switch(output.pruned)},
       {"--shard", "SIZE", "folders: weights in files of at most 5GB, 500MB, 2GiB, …, with an index",
        [&output](const std::string& flag, const std::string& text) { output.most_bytes = bytes_of_size(flag, text); }},
       {"--force", "", "replaces a file, or a model's folder, that is there", as_switch(output.force)}}};
}

FlagGroup model_group(ModelInput& input) {
  return {"Model",
          {{"--vae", "PATH", "a VAE's folder or file, in place of the model's own", into(input.vae)},
           {"--prediction", "NAME", "epsilon, v, x0: what the model predicts, where its files do not tell or are wrong",
            into(input.prediction)}}};
}

constexpr const char* convert_footer =
    R"(OUT ending in .safetensors is one file in the original code's layout, which
A1111, ComfyUI and the like read too; any other name is a diffusers folder.
A file keeps the configs of the folder that it was made of in its metadata,
and draws as it, bit for bit. A tokenizer that is not CLIP's lies beside it.

Examples:
  sdtorch convert models/sd15 sd15.safetensors --dtype fp16
  sdtorch convert v1-5-pruned.ckpt sd15 --dtype fp16 --shard 2GB
)";

constexpr const char* merge_footer =
    R"(Weights: one number of everything; a number a block, IN00…IN11, M00,
OUT00…OUT11 (25; SDXL: IN00…IN08, M00, OUT00…OUT08, 19), the rest then 0, or
with BASE in front (26; SDXL 20, or 21 with the VAE's at the end); or
NAME=W pairs (base, te, te2, vae, unet, in, mid, out, in04, …), after a number
for the rest or alone: what they do not name stays A's. BASE is all but the
U-Net. Computed in fp32 and rounded once. Configs, tokenizers and scheduler
are A's. To make an inpainting model of any: sd-inpainting, the model, sd,
--weights 1.

Examples:
  sdtorch merge a.safetensors b.safetensors -o ab.safetensors --weights 0.3
  sdtorch merge inpainting mine sd15 -o my-inpainting --weights 1
  sdtorch merge a b -o ab --weights 0.2,in04=0.8,mid=1,te=0.5,vae=0
  sdtorch merge a -o styled --lora style.safetensors:0.8
)";

}  // namespace

CommandSpec convert_spec(ConvertOptions& options, FlagGroup general) {
  // The first positional argument is the model, the second where it goes.
  const Apply add = [&options](const std::string& name, const std::string& text) {
    std::filesystem::path& target = options.input.model.empty() ? options.input.model : options.output.target;
    if (!options.output.target.empty())
      refuse(fmt::format("'{}'", text), "one argument too many: MODEL and OUT are all");
    target = not_empty(name, text);
  };
  return {"sdtorch convert MODEL OUT [FLAGS]",
          "Writes a model in another layout: a diffusers folder or a single file.",
          {{"Arguments",
            {{"MODEL", "", "a folder, a file or org/name in the cache; behind it OUT, the folder or file to make", add,
              true}}},
           model_group(options.input),
           output_group(options.output, options.dtype, "each one's own"),
           std::move(general)},
          convert_footer};
}

CommandSpec merge_spec(MergeOptions& options, FlagGroup general) {
  const Apply add = [&options](const std::string& name, const std::string& text) {
    if (options.input.model.empty()) {
      options.input.model = not_empty(name, text);
    } else {
      options.others.emplace_back(not_empty(name, text));
    }
  };
  FlagGroup output = output_group(options.output, options.dtype, "as in A");
  output.flags.insert(output.flags.begin(), {"-o, --output", "OUT", "a .safetensors file, or a diffusers folder",
                                             into(options.output.target)});
  return {
      "sdtorch merge A [B [C]] -o OUT [FLAGS]",
      "Writes a sum of models, or one model with adapters baked in.",
      {{"Arguments", {{"MODEL", "", "one to three models: folders, files or org/name in the cache", add, true}}},
       {"Arithmetic",
        {{"--mode", "NAME", "weighted-sum: (1 - w) A + w B, for two models; add-difference: A + w (B - C), for three",
          [&options](const std::string& flag, const std::string& text) {
            options.mode = ascii_lower(text);
            check_choice(flag, options.mode, {"weighted-sum", "add-difference"});
          }},
         {"--weights", "W", "0.3, or several; see below", into(options.weights)},
         {"--lora", "FILE[:W[:TE_W]]", "bakes an adapter in, at weight W (1), of the text encoders TE_W (W)",
          [&options](const std::string& flag, const std::string& text) {
            options.loras.push_back(not_empty(flag, text));
          },
          true},
         {"--lora-lenient", "", "keys of an adapter that find no place are warnings, not errors",
          as_switch(options.lora_lenient)}}},
       model_group(options.input),
       std::move(output),
       std::move(general)},
      merge_footer};
}

void check_convert(const ConvertOptions& options) {
  if (options.input.model.empty()) refuse("MODEL", "what to convert is missing", "see sdtorch convert --help");
  if (options.output.target.empty()) refuse("OUT", "where to write is missing", "see sdtorch convert --help");
}

void check_merge(const MergeOptions& options) {
  if (options.input.model.empty()) refuse("MODEL", "what to merge is missing", "see sdtorch merge --help");
  if (options.output.target.empty()) refuse("--output", "where to write is missing", "see sdtorch merge --help");
}

CommandSpec init_model_spec(InitModelOptions& m, FlagGroup general) {
  const Apply seed = [&m](const std::string& flag, const std::string& text) {
    const auto number = parse_unsigned(text);
    if (!number) refuse(flag, fmt::format("'{}' is not a whole number of 0…2^64-1", text));
    m.seed = *number;
  };
  const std::vector<std::string> layouts(layout_names.begin(), layout_names.end());
  return {"sdtorch init-model [FLAGS] PATH",
          "Writes a model of seeded random weights: noise for pictures, but a whole model, for tests and benchmarks.",
          {{"Arguments", {{"PATH", "", "the folder or file to make", into(m.target)}}},
           {"Model",
            {{"--family", "NAME", fmt::format("{} (sd1)", fmt::join(init_model_families(), ", ")),
              choice_of(m.family, init_model_families())},
             {"--size", "NAME", "tiny, full (tiny)", choice_of(m.size, {"tiny", "full"})},
             {"--layout", "NAME",
              fmt::format("{} (folder): a diffusers folder, one with fp16 in its files' names, one in shards, one of "
                          ".bin files; one .safetensors file, one .ckpt file",
                          fmt::join(layouts, ", ")),
              choice_of(m.layout, layouts)},
             {"--vocabulary", "NAME",
              "tiny folders: bytes, or clip, whose text encoder is then that of a single file (bytes)",
              choice_of(m.vocabulary, {"bytes", "clip"})},
             {"--only", "NAME", "single files: unet or vae alone", choice_of(m.only, {"unet", "vae"})},
             {"--dtype", "NAME", "type of the stored weights: fp32, fp16, bf16 (fp32; fp16 for a variant)",
              choice_of(m.dtype, {"fp32", "fp16", "bf16"})},
             {"--ema", "", "single files: with moving averages of the U-Net's weights", as_switch(m.ema)},
             {"-s, --seed", "N", "0…2^64-1 (0)", seed}}},
           std::move(general)},
          ""};
}

CommandSpec inspect_spec(InspectOptions& options, FlagGroup general) {
  return {"sdtorch inspect PATH [--json]",
          "Prints the parameters that a PNG carries, or what a model is, what tells it, and of what it is made.",
          {{"Arguments", {{"PATH", "", "a PNG, a model folder or a weights file", into(options.path)}}},
           {"Output", {{"--json", "", "one JSON object on a line", as_switch(options.json)}}},
           std::move(general)},
          ""};
}

}  // namespace sdtorch
