// What IP-Adapters and their encoders are made of (ip_adapter.hpp).
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>
#include <system_error>

#include "adapters/ip_adapter.hpp"
#include "core/error.hpp"
#include "core/paths.hpp"
#include "core/suggest.hpp"
#include "pipeline/ip_adapter.hpp"
#include "pipeline/model_description.hpp"
#include "weights/model_folder.hpp"
#include "weights/model_path.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view adapter_flag = "--ip-adapter";
constexpr std::string_view encoder_flag = "--ip-encoder";
constexpr const char* encoder_name = "image_encoder";
constexpr const char* preparation_name = "preprocessor_config.json";

/// Names of the weights files in a folder, sorted.
std::vector<std::string> weights_files(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder.empty() ? "." : folder, ignored)) {
    const std::string ending = ascii_lower(entry.path().extension().string());
    const bool weights = ending == ".safetensors" || ending == ".bin" || ending == ".pt" || ending == ".pth";
    if (weights && !is_folder(entry.path())) names.push_back(entry.path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

/// What the user named, be it in the Hugging Face cache; what is not there ends with exit code 2.
fs::path find_named(std::string_view flag, const std::string& named) {
  if (named.empty()) refuse(flag, "is empty");
  try {
    return find_model(named);
  } catch (const Error& error) {
    const fs::path path = named;
    const std::vector<std::string> names = weights_files(path.parent_path());
    refuse(flag, fmt::format("{}: {}", named, error.parts().reason),
           flag == adapter_flag && !names.empty() ? did_you_mean(path.filename().string(), names) : "");
  }
}

fs::path find_adapter(const std::string& named) {
  const fs::path path = find_named(adapter_flag, named);
  if (!is_folder(path)) return path;
  const std::vector<std::string> names = weights_files(path);
  if (names.empty()) refuse(adapter_flag, fmt::format("{} is a folder without weights", named), "give a file");
  if (names.size() > 1) {
    refuse(adapter_flag, fmt::format("{} is a folder, and it is not said which file of it is meant", named),
           did_you_mean("", names));
  }
  return path / names.front();
}

/// The encoder's own, the model's, or CLIP's. The model's is the one that diffusers takes; it is made for a safety
/// checker, and need not fit.
void read_preparation(ImageEncoderDescription& encoder, const ModelDescription& model) {
  const fs::path own = encoder.folder / preparation_name;
  const fs::path models = model.source->path() / "feature_extractor" / preparation_name;
  const int64_t side = encoder.config.image_size;
  encoder.preparation = ClipPreparation::for_side(side);
  encoder.preparation_file = own.string();
  if (is_there(own)) {
    encoder.preparation = ClipPreparation::from_json(load_config(own), own.string(), model.read_options);
    return;
  }
  if (!model.source->has("feature_extractor") || !is_there(models)) return;
  try {
    const auto read = ClipPreparation::from_json(load_config(models), models.string(), model.read_options);
    if (read.final_size(side, 2 * side) != std::array{side, side}) return;  // whatever the picture's shape
    encoder.preparation = read;
    encoder.preparation_file = models.string();
  } catch (const Error&) {  // another model's
  }
}

ImageEncoderDescription describe_encoder(const fs::path& named, const ModelDescription& model) {
  ImageEncoderDescription encoder{.folder = is_folder(named / encoder_name) ? named / encoder_name : named};
  const fs::path file = encoder.folder / "config.json";
  const nlohmann::json config = load_config(file);
  encoder.config = ClipVisionConfig::from_json(config, file.string(), model.read_options);
  encoder.whole_clip = config.is_object() && config.contains("vision_config");
  read_preparation(encoder, model);
  return encoder;
}

/// The folders of all adapters' encoders, and for each adapter which of them; as describe_ip_adapters says.
struct EncoderFolders {
  std::vector<fs::path> folders{};
  std::vector<size_t> of_adapter{};
};

EncoderFolders find_encoders(const ModelChoice& choice, const std::vector<fs::path>& files) {
  EncoderFolders found{.of_adapter = std::vector<size_t>(files.size(), 0)};
  if (!choice.ip_encoder.empty()) {
    found.folders.push_back(find_named(encoder_flag, choice.ip_encoder));
    if (is_folder(found.folders.front())) return found;
    refuse(encoder_flag, fmt::format("{} is no folder", choice.ip_encoder), "give one with config.json and weights");
  }
  for (size_t i = 0; i < files.size(); ++i) {
    const fs::path beside = files[i].parent_path() / encoder_name;
    if (!is_folder(beside)) continue;
    const auto known = std::ranges::find(found.folders, beside);
    found.of_adapter[i] = static_cast<size_t>(known - found.folders.begin());
    if (known == found.folders.end()) found.folders.push_back(beside);
  }
  if (!found.folders.empty()) return found;
  refuse(encoder_flag,
         fmt::format("IP-Adapters need CLIP's image encoder, and there is no {}",
                     (files.front().parent_path() / encoder_name).string()),
         "give a folder with config.json and weights");
}

void check_encoder_fits(const IpAdapterDescription& adapter, const ImageEncoderDescription& encoder) {
  const bool plain = adapter.projection.kind == IpKind::plain;
  const int64_t width = plain ? encoder.config.projection_dim : encoder.config.hidden_size;
  if (adapter.projection.seen_width == width) return;
  fail(ErrorKind::model, adapter.file, plain ? "image_proj.proj.weight" : "image_proj.",
       fmt::format("takes {} of width {}, and the {} of {} is {}", plain ? "embeddings" : "states",
                   adapter.projection.seen_width, plain ? "projection_dim" : "hidden_size", encoder.folder.string(),
                   width),
       "give the image encoder that it was trained with by --ip-encoder DIR");
}

}  // namespace

IpAdaptersDescription describe_ip_adapters(const ModelChoice& choice, const ModelDescription& model) {
  IpAdaptersDescription described;
  if (choice.ip_adapter.empty()) {
    if (!choice.ip_encoder.empty()) refuse(encoder_flag, "there is no IP-Adapter", "give --ip-adapter FILE");
    return described;
  }
  std::vector<fs::path> files;
  for (const std::string& named : choice.ip_adapter) files.push_back(find_adapter(named));
  const std::vector<CrossAttentionPlace> places = cross_attention_places(model.unet);
  for (const fs::path& path : files) {
    const IpAdapterFile file = load_ip_adapter(path, {.verify = false});
    require_fit(file, places, path.string());
    described.adapters.push_back({.file = path, .projection = file.projection_config});
  }
  const EncoderFolders encoders = find_encoders(choice, files);
  for (const fs::path& folder : encoders.folders) described.encoders.push_back(describe_encoder(folder, model));
  for (size_t i = 0; i < files.size(); ++i) {
    described.adapters[i].encoder = encoders.of_adapter[i];
    check_encoder_fits(described.adapters[i], described.encoders[encoders.of_adapter[i]]);
  }
  return described;
}

}  // namespace sdtorch
