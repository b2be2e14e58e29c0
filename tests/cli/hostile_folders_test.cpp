// Model folders that are broken in one place each, and what is said of them.
#include <unistd.h>

#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>

#include "support/catch.hpp"
#include "support/checkpoints.hpp"
#include "support/files.hpp"
#include "support/golden.hpp"
#include "support/process.hpp"
#include "support/temp_dir.hpp"
#include "weights/state_dict.hpp"

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

struct HostileFolder {
  std::string name;
  std::function<void(const fs::path& model)> damage;
  std::string message;
  int exit_code = 4;
};

void set(const fs::path& file, const std::string& key, const json& value) {
  json config = json::parse(file_contents(file));
  config[key] = value;
  write_file(file, config.dump());
}

const std::string unet_weights = "unet/diffusion_pytorch_model.safetensors";

/// Rewrites the U-Net's weights.
void edit(const fs::path& model, const std::function<void(std::map<std::string, at::Tensor>&)>& change) {
  std::map<std::string, at::Tensor> tensors;
  for (const auto& [key, value] : sdtorch::load_safetensors(model / unet_weights)) tensors[key] = value.tensor.clone();
  change(tensors);
  sdtorch::save_safetensors(model / unet_weights, tensors);
}

void shard(const fs::path& model, const std::string& file) {
  fs::remove(model / unet_weights);
  write_file(model / (unet_weights + ".index.json"), json{{"weight_map", {{"conv_in.bias", file}}}}.dump());
}

std::vector<HostileFolder> hostile_folders() {
  const auto replace = [](const std::string& file, const std::string& contents) {
    return [=](const fs::path& model) { write_file(model / file, contents); };
  };
  const auto removed = [](const std::string& file) {
    return [=](const fs::path& model) { fs::remove_all(model / file); };
  };
  const auto folder = [](const std::string& file) {
    return [=](const fs::path& model) {
      fs::remove_all(model / file);
      fs::create_directory(model / file);
    };
  };
  const auto config = [](const std::string& file, const std::string& key, const json& value) {
    return [=](const fs::path& model) { set(model / file, key, value); };
  };
  const auto linked = [](const std::string& file, const std::string& target) {
    return [=](const fs::path& model) {
      fs::remove_all(model / file);
      fs::create_symlink(target, model / file);
    };
  };
  const std::string unet = "unet/config.json";
  std::vector<HostileFolder> folders = {
      {"empty",
       [](const fs::path& model) {
         fs::remove_all(model);
         fs::create_directory(model);
       },
       "is no diffusers model folder: it has no model_index.json"},
      {"link to itself",
       [](const fs::path& model) {
         fs::remove_all(model);
         fs::create_symlink("model", model);
       },
       "cannot be looked at: Too many levels of symbolic links"},
      {"link to nothing",
       [](const fs::path& model) {
         fs::remove_all(model);
         fs::create_symlink("gone", model);
       },
       "is a link to gone, which is not there"},
      {"index is a folder", folder("model_index.json"), "model_index.json: is a folder, a file was expected"},
      {"index is a page", replace("model_index.json", "<html>"), "model_index.json: is a web page"},
      {"index is a pointer", replace("model_index.json", "version https://git-lfs.github.com/spec/v1\n"),
       "model_index.json: is a Git LFS pointer, not the contents themselves"},
      {"index links to nothing", linked("model_index.json", "../blobs/gone"),
       "model_index.json: is a link to ../blobs/gone, which is not there"},
      {"config is a page", replace("unet/config.json", "\n<!DOCTYPE html>"), "unet/config.json: is a web page"},
      {"vocabulary is a pointer", replace("tokenizer/vocab.json", "version https://git-lfs.github.com/spec/v1\n"),
       "tokenizer/vocab.json: is a Git LFS pointer"},
      {"index is cut", replace("model_index.json", "{\"_class_name\": \"Stable"), "model_index.json: line 1"},
      {"index is deep", replace("model_index.json", std::string(100000, '[')), "nested more than 64 deep"},
      {"pipeline", config("model_index.json", "_class_name", "FluxPipeline"), "FluxPipeline is not supported"},
      {"component's class", config("model_index.json", "vae", {"diffusers", "AutoencoderTiny"}),
       "vae: AutoencoderTiny is not supported"},
      {"extra component", config("model_index.json", "prior", {"diffusers", "PriorTransformer"}),
       "prior: a component that is not supported"},
      {"no U-Net", removed("unet"), "unet: the folder is missing"},
      {"no config", removed(unet), "unet/config.json: cannot be opened: No such file"},
      {"config is a folder", folder(unet), "unet/config.json: is a folder"},
      {"config links to itself", linked(unet, "config.json"), "Too many levels of symbolic links"},
      {"config is an array", replace(unet, "[]"), "unet/config.json: a JSON object was expected"},
      {"config twice", replace(unet, R"({"act_fn":"silu","act_fn":"gelu"})"), "the key \"act_fn\" occurs twice"},
      {"unknown value", config(unet, "act_fn", "snake"), "unet/config.json: act_fn"},
      {"unknown block", config(unet, "down_block_types", {"DownBlock3D", "DownBlock3D"}), "DownBlock3D"},
      {"wrong type", config(unet, "in_channels", "four"), "unet/config.json: in_channels"},
      {"negative", config(unet, "in_channels", -4), "unet/config.json: in_channels"},
      {"huge", config(unet, "block_out_channels", {int64_t{1} << 40, int64_t{1} << 40}), "unet/config.json"},
      {"no blocks", config(unet, "block_out_channels", json::array()), "unet/config.json: block_out_channels"},
      {"scheduler", config("scheduler/scheduler_config.json", "beta_start", "small"),
       "scheduler_config.json: beta_start"},
      {"tokenizer", removed("tokenizer"), "tokenizer: the folder is missing"},
      {"vocabulary", replace("tokenizer/vocab.json", "[]"), "tokenizer/vocab.json"},
      {"no weights", removed(unet_weights), "unet: no weights here; looked for diffusion_pytorch_model"},
      {"weights are a pointer", replace(unet_weights, "version https://git-lfs.github.com/spec/v1\n"),
       "is a Git LFS pointer"},
      {"weights are a folder", folder(unet_weights), "safetensors: is a folder, a file was expected"},
      {"weights link to nothing", linked(unet_weights, "../../blobs/gone"),
       "is a link to ../../blobs/gone, which is not there"},
      {"weights are cut", [](const fs::path& model) { fs::resize_file(model / unet_weights, 5000); }, "truncated?"},
      {"old weights are hostile",
       [](const fs::path& model) {
         fs::remove(model / unet_weights);
         write_file(model / "unet/diffusion_pytorch_model.bin",
                    torch_zip(pickled::call(pickled::global("os", "system"), {pickled::text("touch exploited")})));
       },
       "diffusion_pytorch_model.bin: holds no tensors"},
      {"no shard", [](const fs::path& model) { shard(model, "a.safetensors"); }, "a.safetensors: cannot be opened"},
      {"shard climbs", [](const fs::path& model) { shard(model, "../vae/diffusion_pytorch_model.safetensors"); },
       "is no plain file name; shards lie beside their index"},
      {"shard without the key",
       [](const fs::path& model) {
         shard(model, "a.safetensors");
         sdtorch::save_safetensors(model / "unet/a.safetensors", {{"other", at::zeros(1)}});
       },
       "a.safetensors: conv_in.bias: missing"},
      {"missing tensor", [](const fs::path& model) { edit(model, [](auto& t) { t.erase("conv_in.bias"); }); },
       "conv_in.bias"},
      {"extra tensor", [](const fs::path& model) { edit(model, [](auto& t) { t["extra.weight"] = at::zeros(1); }); },
       "extra.weight"},
      {"wrong shape", [](const fs::path& model) { edit(model, [](auto& t) { t["conv_in.bias"] = at::zeros(3); }); },
       "conv_in.bias"},
      {"wrong kind",
       [](const fs::path& model) { edit(model, [](auto& t) { t["conv_in.bias"] = t["conv_in.bias"].to(at::kLong); }); },
       "conv_in.bias"},
      {"not numbers",
       [](const fs::path& model) { edit(model, [](auto& t) { t["conv_in.bias"].fill_(std::nan("")); }); }, "", 8},
      {"infinite", [](const fs::path& model) { edit(model, [](auto& t) { t["conv_in.bias"].fill_(INFINITY); }); }, "",
       8},
  };
  if (geteuid() != 0) {  // whom nothing is forbidden
    folders.push_back({"forbidden",
                       [](const fs::path& model) { fs::permissions(model / unet_weights, fs::perms::none); },
                       "cannot be opened: Permission denied"});
  }
  return folders;
}

}  // namespace

TEST_CASE("each broken model folder ends the program with its message and exit code", "[cli]") {
  for (const HostileFolder& broken : hostile_folders()) {
    INFO(broken.name);
    const TempDir temp;
    fs::copy(golden_path("pipeline/models/sd1"), temp / "model", fs::copy_options::recursive);
    broken.damage(temp / "model");
    const ProcessResult run =
        run_sdtorch({"-m", "model", "-p", "x", "--steps", "1", "-W", "16", "-H", "16", "-q", "-o", "out.png"},
                    {.folder = temp.path()});
    INFO(run.err);
    CHECK(run.exit_code == broken.exit_code);
    // What is not finite may be so in a narrow type alone: it is tried again in fp32, which is said.
    CHECK((run.err.starts_with("error: ") || (run.exit_code == 8 && run.err.find("\nerror: ") != std::string::npos)));
    CHECK(run.err.find(broken.message) != std::string::npos);
    CHECK_FALSE(fs::exists(temp / "out.png"));
    CHECK_FALSE(fs::exists(temp / "exploited"));
    CHECK(run.seconds < 20);
  }
}
