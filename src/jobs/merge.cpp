#include "jobs/merge.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "core/error.hpp"
#include "core/log.hpp"
#include "core/suggest.hpp"
#include "jobs/baked_loras.hpp"
#include "jobs/convert.hpp"
#include "jobs/merge_tensors.hpp"
#include "jobs/merge_weights.hpp"
#include "weights/model_family.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;

constexpr const char *weighted_sum = "weighted-sum", *add_difference = "add-difference";

void check_models(const MergeOptions& options) {
  const size_t others = options.others.size();
  if (others > 2) refuse("MODEL", fmt::format("{} models; three are the most", others + 1));
  if (!options.mode.empty()) check_choice("--mode", options.mode, {weighted_sum, add_difference});
  if (others == 0) {
    if (options.loras.empty()) refuse("MODEL", "one model alone is nothing to merge", "name a second, or give --lora");
    if (!options.weights.empty()) refuse("--weights", "there is no second model");
    if (!options.mode.empty()) refuse("--mode", "there is no second model");
    return;
  }
  if (options.mode == weighted_sum && others == 2) {
    refuse("--mode", "weighted-sum takes two models", "with a third it is add-difference");
  }
  if (options.mode == add_difference && others == 1) {
    refuse("--mode", "add-difference is A + w (B - C), and there is no C", "name a third model");
  }
  if (options.weights.empty()) {
    refuse("--weights", "how much of B is missing", "--weights 0.3 takes 0.3 of it; see sdtorch merge --help");
  }
}

/// What the model says that it predicts; empty where nothing tells.
std::string prediction_of(const ModelSource& model) {
  try {
    const nlohmann::json scheduler = model.scheduler();
    const auto said = scheduler.find("prediction_type");
    return said != scheduler.end() && said->is_string() ? said->get<std::string>() : "epsilon";
  } catch (const Error&) {
    return {};
  }
}

class Merge {
 public:
  explicit Merge(const MergeOptions& options) : options_(options), type_(stored_type(options.dtype)) {}

  void run() {
    plan_ = plan_model(options_.input, type_);
    for (const fs::path& path : options_.others) open_other(path);
    read_loras();
    if (!options_.others.empty()) {
      const ComponentPlan& unet = plan_.component("unet");
      weights_.emplace(options_.weights, plan_.family, unet.keys());
    }
    // Whole lists first: what merges points into them.
    for (const ComponentPlan& plan : plan_.components) gather(plan.name);
    for (const std::string& line : warnings_) log_warning(line);
    for (ComponentPlan& plan : plan_.components) {
      Parts& parts = parts_.at(plan.name);
      merge_component(plan, parts.a, parts.others, parts.rule, parts.baked);
    }
    write_model(plan_, options_.output);
  }

 private:
  /// What one component is made of.
  struct Parts {
    MergeSide a{};
    std::vector<MergeSide> others{};
    MergeRule rule{};
    BakedParts baked{};
  };

  void open_other(const fs::path& path) {
    const auto other = open_model(path);
    const Family family = family_of(*other);
    if (family != plan_.family) refuse_family(*other, family);
    const std::string mine = prediction_of(*plan_.source), theirs = prediction_of(*other);
    if (!theirs.empty() && !mine.empty() && mine != theirs && options_.input.prediction.empty()) {
      warnings_.push_back(fmt::format("{} predicts {}, and A {}: their sum predicts neither well",
                                      other->path().string(), theirs, mine));
    }
    others_.push_back(other);
  }

  [[noreturn]] void refuse_family(const ModelSource& other, Family family) const {
    constexpr size_t most_shown = 5;
    std::vector<std::string> lines;
    const MergeSide b = side(other, "unet"), a{.model = plan_.name, .weights = plan_.weights.at("unet")};
    for (const std::string& line : other_shapes("unet", a, b, latent())) {
      if (lines.size() < most_shown) lines.push_back(line);
    }
    fail(ErrorKind::model, other.path(), {},
         fmt::format("is a {}, and {} is a {}: they have no sum{}{}", name_of(family), plan_.name,
                     name_of(plan_.family), lines.empty() ? "" : "\n  ", fmt::join(lines, "\n  ")));
  }

  static MergeSide side(const ModelSource& model, const std::string& component) {
    MergeSide made{.model = model.path().string()};
    if (model.has(component)) made.weights = std::make_shared<const StateDict>(model.weights(component));
    return made;
  }

  int64_t latent() const { return plan_.component("unet").tensors.at("conv_out.weight").shape.at(0); }

  void read_loras() {
    if (options_.loras.empty()) return;
    WeightShapes shapes;
    for (const ComponentPlan& plan : plan_.components) {
      if (plan.name != "unet" && !plan.name.starts_with("text_encoder")) continue;
      for (const auto& [key, tensor] : plan.tensors) shapes[plan.name][key] = tensor.shape;
    }
    loras_ = read_baked_loras(options_.loras, shapes, options_.lora_lenient);
  }

  void gather(const std::string& component) {
    Parts& parts = parts_[component];
    parts.a = {.model = plan_.name, .weights = plan_.weights.at(component)};
    for (const auto& other : others_) parts.others.push_back(side(*other, component));
    parts.rule = {.difference = parts.others.size() == 2,
                  .weight = [this, component](std::string_view key) { return weights_->of(component, key); }};
    check_sides(component, parts.a, parts.others, latent(), warnings_);
    for (const BakedLora& lora : loras_) {
      for (const WeightChange& change : lora.file.changes) {
        const double scale = component == "unet" ? lora.unet : lora.text_encoder;
        if (change.component == component && scale != 0) parts.baked[change.key].emplace_back(&change, scale);
      }
    }
  }

  const MergeOptions& options_;
  std::optional<at::ScalarType> type_;
  ModelPlan plan_{};
  std::vector<std::shared_ptr<const ModelSource>> others_{};
  std::optional<MergeWeights> weights_{};
  std::vector<BakedLora> loras_{};
  std::map<std::string, Parts> parts_{};
  std::vector<std::string> warnings_{};
};

}  // namespace

void merge_models(const MergeOptions& options) {
  check_models(options);
  stored_type(options.dtype);
  if (is_single_file(options.output) && options.output.most_bytes > 0) {
    refuse("--shard", "is for folders, and OUT is a single file", "leave it away");
  }
  check_target(options.output);
  Merge(options).run();
}

}  // namespace sdtorch
