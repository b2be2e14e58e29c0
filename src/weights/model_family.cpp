#include "weights/model_family.hpp"

#include "weights/single_file.hpp"

namespace sdtorch {

Family family_of(const ModelSource& model) {
  if (const auto* file = dynamic_cast<const SingleFile*>(&model)) return file->recognition().family.value();
  if (model.has("text_encoder_2")) return model.has("text_encoder") ? Family::sdxl : Family::sdxl_refiner;
  const nlohmann::json unet = model.config("unet");
  const auto linear = unet.find("use_linear_projection");
  return linear != unet.end() && *linear == true ? Family::sd2 : Family::sd1;
}

}  // namespace sdtorch
