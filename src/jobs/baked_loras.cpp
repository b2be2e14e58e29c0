#include "jobs/baked_loras.hpp"

#include <fmt/format.h>

#include "core/error.hpp"
#include "core/log.hpp"
#include "core/number.hpp"
#include "core/paths.hpp"
#include "pipeline/loras.hpp"

namespace sdtorch {

std::vector<BakedLora> read_baked_loras(const std::vector<std::string>& texts, const WeightShapes& model,
                                        bool lenient) {
  std::vector<BakedLora> loras;
  for (const std::string& text : texts) {
    const FileAndWeights said = split_weights(text);
    const std::string flag = "--lora: " + said.file;
    if (!is_there(said.file)) refuse(flag, "no such file");
    BakedLora lora;
    for (size_t i = 0; i < said.weights.size(); ++i) {
      const auto weight = parse_real(said.weights[i]);
      if (!weight) refuse(flag, fmt::format("'{}' is no weight: a finite number was expected", said.weights[i]));
      if (i == 0) lora.unet = *weight;
      lora.text_encoder = *weight;
    }
    lora.file = read_lora(said.file, model, {.lenient = lenient});
    if (!lora.file.embeddings.empty()) {
      log_warning(fmt::format("{}: its embeddings are not baked in: a model has no place for them", said.file));
    }
    loras.push_back(std::move(lora));
  }
  return loras;
}

}  // namespace sdtorch
