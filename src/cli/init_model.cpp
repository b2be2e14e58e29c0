#include "sdtorch/cli/init_model.hpp"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>
#include <torch/nn/module.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "sdtorch/cli/model_recipe.hpp"
#include "sdtorch/cli/report.hpp"
#include "sdtorch/core/error.hpp"
#include "sdtorch/core/interrupt.hpp"
#include "sdtorch/core/log.hpp"
#include "sdtorch/core/paths.hpp"
#include "sdtorch/io/atomic_file.hpp"
#include "sdtorch/io/atomic_folder.hpp"
#include "sdtorch/io/mapped_file.hpp"
#include "sdtorch/networks/clip_text.hpp"
#include "sdtorch/networks/config.hpp"
#include "sdtorch/networks/unet.hpp"
#include "sdtorch/networks/vae.hpp"
#include "sdtorch/weights/state_dict.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::array vocabulary_files = {"vocab.json", "merges.txt"};

at::ScalarType stored_type(const std::string& name) {
  if (name == "fp32") return at::kFloat;
  if (name == "fp16") return at::kHalf;
  if (name == "bf16") return at::kBFloat16;
  throw Error(
      ErrorKind::usage,
      {.file = "--dtype", .reason = fmt::format("'{}' is not known", name), .hint = "there are fp32, fp16 and bf16"});
}

/// The vocabulary's symbols for single bytes (Radford et al. 2019): printable Latin-1 bytes stand for themselves, the
/// others for the characters from U+0100 on. In CLIP's order: the printable ones first, so that `!` is 0.
std::vector<std::string> byte_symbols() {
  const auto utf8 = [](unsigned code) {
    if (code < 0x80) return std::string(1, static_cast<char>(code));
    return std::string{static_cast<char>(0xc0 | code >> 6), static_cast<char>(0x80 | (code & 0x3f))};
  };
  const auto printable = [](unsigned byte) { return (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte != 0xad); };
  std::vector<std::string> symbols;
  for (unsigned byte = 0; byte < 256; ++byte) {
    if (printable(byte)) symbols.push_back(utf8(byte));
  }
  for (unsigned byte = 0, code = 256; byte < 256; ++byte) {
    if (!printable(byte)) symbols.push_back(utf8(code++));
  }
  return symbols;
}

/// CLIP's vocabulary without a merge: bytes, bytes that end a word, start, end.
json byte_vocabulary() {
  json vocabulary = json::object();
  for (const char* suffix : {"", "</w>"}) {
    for (const std::string& symbol : byte_symbols()) vocabulary[symbol + suffix] = vocabulary.size();
  }
  for (const char* special : {"<|startoftext|>", "<|endoftext|>"}) vocabulary[special] = vocabulary.size();
  return vocabulary;
}

fs::path clip_folder() { return share_folder() / "clip"; }

void check_clip_vocabulary() {
  for (const char* name : vocabulary_files) {
    std::error_code ignored;
    if (fs::exists(clip_folder() / name, ignored)) continue;
    throw Error(ErrorKind::model, {.file = (clip_folder() / name).string(),
                                   .reason = "the CLIP vocabulary, which full models need, is missing",
                                   .hint = "set-up installs it: run scripts/bootstrap"});
  }
}

void write_json(const fs::path& file, const json& value) { write_file_atomically(file, value.dump(2) + "\n"); }

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw Error(ErrorKind::output, {.file = folder.string(), .reason = error.message()});
}

void write_tokenizer(const fs::path& folder, const ModelRecipe& recipe, bool tiny) {
  make_folder(folder);
  write_json(folder / "tokenizer_config.json", recipe.tokenizer_config);
  write_json(folder / "special_tokens_map.json", recipe.special_tokens_map);
  if (tiny) {
    write_json(folder / "vocab.json", byte_vocabulary());
    write_file_atomically(folder / "merges.txt", "#version: 0.2\n");
    return;
  }
  for (const char* name : vocabulary_files) {
    write_file_atomically(folder / name, MappedFile(clip_folder() / name, ErrorKind::model).bytes());
  }
}

/// Values that keep activations at the size of their inputs through any depth: norms pass through, biases are zero,
/// embeddings and everything that is summed over have variance 1 after the sum (LeCun et al. 1998, section 4.6).
at::Tensor random_weight(const std::string& key, at::IntArrayRef shape, at::Generator& generator) {
  if (shape.size() == 1) return key.ends_with("bias") ? at::zeros(shape) : at::ones(shape);
  int64_t fan_in = 1;
  const bool looked_up = key.ends_with("embedding.weight");
  if (!looked_up) {
    for (const int64_t extent : shape.slice(1)) fan_in *= extent;
  }
  return at::randn(shape, generator).mul_(1 / std::sqrt(static_cast<double>(fan_in)));
}

/// A component's folder: its config, and weights for all the parameters of the network that the config describes.
template <class Network, class Config>
void write_component(const fs::path& folder, const json& config, const char* weights_file, at::ScalarType type,
                     at::Generator& generator) {
  log_info(fmt::format("writing {}", folder.filename().string()));
  make_folder(folder);
  const fs::path config_file = folder / "config.json";
  write_json(config_file, config);
  const Network network(Config::from_json(config, config_file.string()));
  std::map<std::string, TensorPlan> plans;
  for (const auto& item : network.named_parameters()) plans[item.key()] = {type, item.value().sizes().vec()};
  save_safetensors(folder / weights_file, plans,
                   [&](const std::string& key) {
                     throw_if_interrupted();
                     return random_weight(key, plans.at(key).shape, generator);
                   },
                   {{"format", "pt"}});
}

}  // namespace

void init_model(const InitModelOptions& options) {
  const ModelRecipe recipe = model_recipe(options.family, options.size);
  const at::ScalarType type = stored_type(options.dtype);
  const bool tiny = options.size == "tiny";
  if (!tiny) check_clip_vocabulary();

  watch_for_interrupts();  // from here on there is a folder to finish or to take away
  AtomicFolder folder(options.folder);
  const fs::path& root = folder.path();
  at::Generator generator = at::detail::createCPUGenerator(options.seed);
  write_tokenizer(root / "tokenizer", recipe, tiny);
  make_folder(root / "scheduler");
  write_json(root / "scheduler" / "scheduler_config.json", recipe.scheduler);
  write_component<ClipTextModel, ClipTextConfig>(root / "text_encoder", recipe.text_encoder, "model.safetensors", type,
                                                 generator);
  constexpr const char* diffusers_weights = "diffusion_pytorch_model.safetensors";
  write_component<UNet2DConditionModel, UNetConfig>(root / "unet", recipe.unet, diffusers_weights, type, generator);
  write_component<AutoencoderKL, VaeConfig>(root / "vae", recipe.vae, diffusers_weights, type, generator);
  write_json(root / "model_index.json", recipe.model_index);
  folder.commit();
}

int init_model_command(const InitModelOptions& options) {
  init_model(options);
  print_result(options.folder.string() + "\n");
  return 0;
}

}  // namespace sdtorch
