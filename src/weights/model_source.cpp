#include "weights/model_source.hpp"

#include "core/paths.hpp"
#include "weights/model_folder.hpp"
#include "weights/model_path.hpp"
#include "weights/single_file.hpp"

namespace sdtorch {

std::shared_ptr<const ModelSource> open_model(const std::filesystem::path& path_or_name, const std::string& prediction,
                                              const ReadOptions& options) {
  const std::filesystem::path found = find_model(path_or_name);
  if (is_folder(found)) return std::make_shared<const ModelFolder>(found, options);
  return std::make_shared<const SingleFile>(found, prediction);
}

Family family_of(const ModelSource& model) {
  if (const auto* file = dynamic_cast<const SingleFile*>(&model)) return file->recognition().family.value();
  if (model.has("text_encoder_2")) return model.has("text_encoder") ? Family::sdxl : Family::sdxl_refiner;
  const nlohmann::json unet = model.config("unet");
  const auto linear = unet.find("use_linear_projection");
  return linear != unet.end() && *linear == true ? Family::sd2 : Family::sd1;
}

}  // namespace sdtorch
