// The published one-file checkpoints by their names and shapes, in files of holes that nothing reads.
#include <filesystem>
#include <fstream>

#include "io/safetensors.hpp"
#include "networks/config.hpp"
#include "support/catch.hpp"
#include "support/published.hpp"
#include "support/temp_dir.hpp"
#include "weights/single_file.hpp"

using namespace sdtorch;
namespace fs = std::filesystem;

namespace {

using Entries = std::map<std::string, TensorEntry>;

/// All that the checkpoint holds, still without places.
std::vector<std::pair<std::string, TensorEntry>> checkpoint_tensors(const PublishedModel& model) {
  Entries entries;
  for (const auto& [component, network] : model.networks) {
    for (const PublishedTensor& tensor : network.tensors) {
      entries[network.prefix + tensor.original] = {.type = at::kHalf, .shape = tensor.original_shape};
    }
  }
  for (const auto& [key, shape] : model.more) {
    const bool ids = key.ends_with("position_ids");
    entries[key] = {.type = ids ? at::kLong : at::kFloat, .shape = shape};
  }
  return {entries.begin(), entries.end()};
}

/// Writes the header alone, with one number: zeros as `alphas_cumprod` would mean another noise schedule.
Entries write_checkpoint(const fs::path& path, const PublishedModel& model) {
  auto tensors = checkpoint_tensors(model);
  const std::string header = make_safetensors_header(tensors, {});
  Entries entries(tensors.begin(), tensors.end());
  std::ofstream file(path, std::ios::binary);
  file.write(header.data(), static_cast<std::streamsize>(header.size()));
  if (const auto schedule = entries.find("alphas_cumprod"); schedule != entries.end()) {
    constexpr float last = 0.00466F;
    file.seekp(static_cast<std::streamoff>(schedule->second.end - sizeof last));
    file.write(reinterpret_cast<const char*>(&last), sizeof last);
  }
  file.close();
  fs::resize_file(path, tensors.back().second.end);
  return entries;
}

const std::byte* address(const at::Tensor& tensor) { return static_cast<const std::byte*>(tensor.const_data_ptr()); }

/// Each tensor must be the checkpoint's bytes that diffusers' converter takes for it.
void check_sources(const StateDict& weights, const PublishedNetwork& network, const Entries& entries,
                   const std::byte* file) {
  for (const PublishedTensor& tensor : network.tensors) {
    INFO(tensor.key << " of " << tensor.original);
    const TensorEntry& entry = entries.at(network.prefix + tensor.original);
    const size_t third = tensor.third < 0 ? 0 : static_cast<size_t>(tensor.third) * (entry.end - entry.begin) / 3;
    const std::string key = tensor.key.starts_with("text_model.") ? tensor.key.substr(11) : tensor.key;
    REQUIRE(weights.contains(key));
    const auto offset = static_cast<size_t>(address(weights.at(key).tensor) - file);
    CHECK(offset == entry.begin + third);
  }
}

/// What names, shapes and the family tell must be what was published.
void check_config(const nlohmann::json& config, const nlohmann::json& published) {
  // Of an encoder without a projection nothing tells how wide another half's would be.
  const bool projects =
      published.value("architectures", nlohmann::json()) == nlohmann::json::array({"CLIPTextModelWithProjection"});
  check_agree(config, published,
              {"attention_head_dim", "transformer_layers_per_block", projects ? "" : "projection_dim"});
  if (config.value("_class_name", "") != "UNet2DConditionModel") return;
  // Both of these say a number for levels without attention, too, and can be written in several ways.
  const UNetConfig found = UNetConfig::from_json(config, "file"), wanted = UNetConfig::from_json(published, "folder");
  REQUIRE(found.levels.size() == wanted.levels.size());
  CHECK(found.levels.back().heads == wanted.levels.back().heads);
  CHECK(found.mid_transformer == wanted.mid_transformer);
  for (size_t i = 0; i < wanted.levels.size(); ++i) {
    const UNetLevel &level = found.levels[i], &published_level = wanted.levels[i];
    CHECK(level.down_transformers == published_level.down_transformers);
    CHECK(level.up_transformers == published_level.up_transformers);
    if (!level.down_transformers.empty()) CHECK(level.heads == published_level.heads);
  }
}

void check_checkpoint(const char* name) {
  const TempDir folder;
  const fs::path path = folder / "model.safetensors";
  const PublishedModel model = published_model(name);
  const Entries entries = write_checkpoint(path, model);
  const SingleFile file(path, model.kind.prediction);

  const Recognition& found = file.recognition();
  REQUIRE(found.family == model.kind.family);
  CHECK(found.task == Task::text_to_image);
  CHECK(found.obstacle.empty());
  CHECK(found.warnings.empty());
  CHECK(found.unused.empty());
  CHECK_FALSE(found.zero_snr);

  const std::string first = "model.diffusion_model.input_blocks.0.0.weight";
  const std::byte* start = address(file.weights("unet").at("conv_in.weight").tensor) - entries.at(first).begin;
  CHECK(text_encoders_of(model.kind.family).size() + 2 == model.networks.size());
  for (const auto& [component, network] : model.networks) {
    INFO(component);
    REQUIRE(file.has(component));
    const StateDict weights = file.weights(component);
    Shapes shapes;
    for (const auto& [key, weight] : weights) shapes[key] = weight.tensor.sizes().vec();
    check_shapes(shapes, weights_in_folder(network));
    check_sources(weights, network, entries, start);
    check_config(file.config(component), network.config);
  }
}

}  // namespace

TEST_CASE("SD 1.5's published checkpoint becomes its published folder", "[weights]") { check_checkpoint("sd1"); }

TEST_CASE("SD 2.1's published checkpoint becomes its published folder", "[weights]") { check_checkpoint("sd2"); }

TEST_CASE("SDXL's published checkpoint becomes its published folder", "[weights]") { check_checkpoint("sdxl"); }

TEST_CASE("SDXL refiner's published checkpoint becomes its published folder", "[weights]") {
  check_checkpoint("sdxl_refiner");
}
