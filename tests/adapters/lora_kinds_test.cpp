#include <ATen/ATen.h>

#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "adapters/lora_file.hpp"
#include "support/catch.hpp"
#include "support/golden.hpp"
#include "weights/key_names.hpp"

using namespace sdtorch;

namespace {

using Tensors = std::map<std::string, at::Tensor>;

/// "MODEL/COMPONENT/KEY" and the like, cut at the first slashes.
std::vector<std::string> cut_at_slashes(const std::string& text, size_t parts) {
  std::vector<std::string> pieces;
  size_t from = 0;
  while (pieces.size() + 1 < parts) {
    const size_t slash = text.find('/', from);
    pieces.push_back(text.substr(from, slash - from));
    from = slash + 1;
  }
  pieces.push_back(text.substr(from));
  return pieces;
}

/// Component → key → weight of a golden model, as our networks name them.
std::map<std::string, Tensors> adapter_model(const std::string& name) {
  std::map<std::string, Tensors> model;
  for (const auto& [path, tensor] : load_golden("adapters/models")) {
    const auto parts = cut_at_slashes(path, 3);
    if (parts[0] != name) continue;
    const std::string key = parts[1] == "unet" ? parts[2] : canonical_key(parts[2]);
    model[parts[1]][key] = tensor.to(at::kFloat);
  }
  return model;
}

WeightShapes adapter_shapes(const std::map<std::string, Tensors>& model) {
  WeightShapes shapes;
  for (const auto& [component, tensors] : model) {
    for (const auto& [key, tensor] : tensors) shapes[component][key] = tensor.sizes().vec();
  }
  return shapes;
}

struct WantedChange {
  double scale;
  std::string component, key;
  at::Tensor difference;
};

std::map<std::string, std::vector<WantedChange>> golden_differences() {
  std::map<std::string, std::vector<WantedChange>> wanted;
  for (const auto& [path, tensor] : load_golden("adapters/expected")) {
    const auto parts = cut_at_slashes(path, 4);
    const std::string key = parts[2] == "unet" ? parts[3] : canonical_key(parts[3]);
    wanted[parts[0]].push_back({std::stod(parts[1]), parts[2], key, tensor});
  }
  return wanted;
}

std::filesystem::path golden_lora(const std::string& name) {
  for (const char* ending : {"", ".safetensors", ".pt"}) {
    const std::filesystem::path path = golden_path("adapters/" + name + ending);
    if (std::filesystem::exists(path)) return path;
  }
  FAIL("no golden " << name);
  return {};
}

/// The sum of what a file adds to one tensor; undefined where it adds nothing.
at::Tensor added_by(const LoraFile& lora, const std::map<std::string, Tensors>& model, const WantedChange& wanted,
                    double scale) {
  at::Tensor sum;
  for (const WeightChange& change : lora.changes) {
    if (change.component != wanted.component || change.key != wanted.key) continue;
    const at::Tensor& weight = model.at(wanted.component).at(wanted.key);
    const at::Tensor added = change.difference(weight, scale);
    CHECK(added.scalar_type() == at::kFloat);
    CHECK(added.sizes() == weight.sizes());
    sum = sum.defined() ? sum + added : added;
  }
  return sum;
}

/// What is is_proportional to the scale: all but rescaled rotations and butterflies.
bool is_proportional(const std::string& name) {
  return name.find("boft") == std::string::npos && name.find("rescaled") == std::string::npos;
}

}  // namespace

TEST_CASE("every kind of adapter changes weights as LyCORIS, PEFT and diffusers have it", "[adapters]") {
  constexpr double tolerance = 2e-5;  // of the largest change
  const std::map<std::string, std::map<std::string, Tensors>> models = {{"sd1", adapter_model("sd1")},
                                                                        {"xl", adapter_model("xl")}};
  for (const auto& [name, all] : golden_differences()) {
    INFO(name);
    const bool xl = name == "space_xl" || name == "space_sgm" || name == "peft_text";
    const auto& model = models.at(xl ? "xl" : "sd1");
    const LoraFile lora = read_lora(golden_lora(name), adapter_shapes(model));
    std::set<std::pair<std::string, std::string>> changed, expected;
    for (const WeightChange& change : lora.changes) changed.emplace(change.component, change.key);
    for (const WantedChange& wanted : all) {
      INFO(wanted.component << " " << wanted.key << " at " << wanted.scale);
      expected.emplace(wanted.component, wanted.key);
      const at::Tensor found = added_by(lora, model, wanted, wanted.scale);
      REQUIRE(found.defined());
      if (wanted.difference.abs().max().item<double>() < 1e-6) {
        CHECK(found.abs().max().item<double>() < 1e-6);
        continue;
      }
      CHECK(relative_error(found, wanted.difference) < tolerance);
      if (wanted.scale == 1 && is_proportional(name)) {
        CHECK(relative_error(added_by(lora, model, wanted, -0.7), wanted.difference * -0.7) < tolerance);
      }
    }
    CHECK(changed == expected);
    CHECK(lora.embeddings.empty());
  }
}
