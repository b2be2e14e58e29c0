#include "jobs/baked_loras.hpp"

#include <fmt/format.h>

#include <filesystem>

#include "core/error.hpp"
#include "core/log.hpp"
#include "core/number.hpp"
#include "core/paths.hpp"

namespace sdtorch {
namespace {

struct SplitText {
  std::string file{};
  std::vector<std::string> weights{};
};

/// The longest file that is there counts; what follows it are weights.
SplitText split_text(const std::string& text) {
  SplitText whole{.file = text};
  for (size_t colons = 0; colons < 2 && !is_there(whole.file); ++colons) {
    const size_t colon = whole.file.rfind(':');
    if (colon == std::string::npos) break;
    whole.weights.insert(whole.weights.begin(), whole.file.substr(colon + 1));
    whole.file.resize(colon);
  }
  return whole;
}

}  // namespace

std::vector<BakedLora> read_baked_loras(const std::vector<std::string>& texts, const WeightShapes& model,
                                        bool lenient) {
  std::vector<BakedLora> loras;
  for (const std::string& text : texts) {
    const SplitText said = split_text(text);
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
