#include "jobs/file_to_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <system_error>
#include <utility>

#include "core/error.hpp"
#include "core/interrupt.hpp"
#include "core/log.hpp"
#include "core/paths.hpp"
#include "diffusion/scheduler_config.hpp"
#include "io/atomic_file.hpp"
#include "io/mapped_file.hpp"
#include "jobs/model_tokenizer.hpp"
#include "weights/beside_weights.hpp"
#include "weights/file_plan.hpp"
#include "weights/model_path.hpp"
#include "weights/sidecar.hpp"
#include "weights/single_file.hpp"
#include "weights/stored_component.hpp"
#include "weights/weights_file.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;

constexpr const char* v_mark = "v_pred";
constexpr size_t longest_value = size_t{1} << 16;  // of metadata: a checkpoint may keep a whole log

/// Hashes of the file's bytes, which are others now.
constexpr const char* stale_metadata[] = {"modelspec.hash_sha256", "sshs_model_hash", "sshs_legacy_hash"};

bool has_clip_tokenizers(const SingleFile& model) {
  for (const char* number : {"", "_2"}) {
    const std::string end = number;
    if (model.has("text_encoder" + end) && model.tokenizer("tokenizer" + end).folder != share_folder() / "clip") {
      return false;
    }
  }
  return true;
}

class Rewriting {
 public:
  Rewriting(const SingleFile& model, const ModelTarget& output, std::optional<at::ScalarType> type)
      : model_(model), output_(output), type_(type), file_(load_weights(model.path(), {.verify = false})) {}

  FilePlan plan() {
    FilePlan plan;
    for (const auto& [key, weight] : file_.tensors) {
      if (output_.pruned && is_pruned(key)) {
        ++left_out_;
        continue;
      }
      const bool converted = type_ && is_weight(key) && weight.tensor.is_floating_point();
      const at::ScalarType type = converted ? *type_ : weight.tensor.scalar_type();
      plan.add(key, {.type = type, .shape = weight.tensor.sizes().vec()}, [&weight = weight, key = key, type] {
        throw_if_interrupted();
        if (weight.verify) weight.verify();
        return in_stored_type(weight, key, type);
      });
    }
    if (left_out_ > 0) log_info(fmt::format("left out: {} tensors that draw nothing", left_out_));
    if (file_.left_out > 0) log_info(fmt::format("left out: {} tensors of the training's state", file_.left_out));
    return plan;
  }

  std::map<std::string, std::string> metadata() const {
    std::map<std::string, std::string> metadata{{"format", "pt"}};
    for (const auto& [key, value] : file_.metadata) {
      if (key != "format" && value.size() <= longest_value) metadata[key] = value;
    }
    for (const char* stale : stale_metadata) metadata.erase(stale);
    return metadata;
  }

 private:
  /// Of what draws, or of its moving averages.
  bool is_weight(const std::string& key) const {
    const std::string kind = kind_beside_weights(key);
    return kind.empty() ? is_known(key) : is_of_training(kind);
  }

  bool is_pruned(const std::string& key) const {
    const std::string kind = kind_beside_weights(key);
    return kind.empty() ? !is_known(key) : is_of_training(kind);
  }

  bool is_known(const std::string& key) const {
    const std::vector<std::string>& unused = model_.recognition().unused;
    return std::ranges::find(unused, key) == unused.end();
  }

  const SingleFile& model_;
  const ModelTarget& output_;
  std::optional<at::ScalarType> type_;
  WeightsFile file_;
  size_t left_out_ = 0;
};

/// What the user says of the prediction, where the file's readers look for it.
void say_prediction(const std::string& prediction, FilePlan& file, std::map<std::string, std::string>& metadata) {
  const std::string name(to_string(find_prediction(prediction).value()));
  file.tensors.erase(v_mark);
  file.makers.erase(v_mark);
  if (name == "v_prediction") file.add_mark(v_mark);
  metadata["modelspec.prediction_type"] = name == "v_prediction" ? "v" : name;
}

/// The settings file beside the model, beside the target; another one there would change what the target says.
void add_sidecar(const fs::path& model, const fs::path& target, StagedOutput& staged) {
  const auto sidecar = find_sidecar(model);
  std::error_code ignored;
  if (sidecar) {
    const fs::path beside = fs::path(target).replace_extension(sidecar->file.extension());
    if (fs::equivalent(sidecar->file, beside, ignored)) return;
    write_file_atomically(staged.add(beside.filename().string()), MappedFile(sidecar->file, ErrorKind::model).bytes());
    log_info(fmt::format("{}: the settings file, which goes with the model", beside.string()));
  }
  for (const char* suffix : {".yaml", ".yml", ".json"}) {
    staged.remove(fs::path(target).replace_extension(suffix).filename().string());
  }
}

}  // namespace

bool file_to_file(const ModelInput& input, const ModelTarget& output, std::optional<at::ScalarType> type) {
  const SingleFile model(find_model(input.model), {});
  if (model.recognition().kept || !has_clip_tokenizers(model)) return false;
  watch_for_interrupts();
  Rewriting rewriting(model, output, type);
  FilePlan plan = rewriting.plan();
  std::map<std::string, std::string> metadata = rewriting.metadata();
  if (!input.prediction.empty()) say_prediction(input.prediction, plan, metadata);

  const fs::path target = target_of(output);
  StagedOutput staged(target.parent_path());
  add_sidecar(model.path(), target, staged);
  log_info(fmt::format("writing {}", target.filename().string()));
  plan.save(staged.add(target.filename().string()), metadata);
  staged.commit(output.force);
  return true;
}

}  // namespace sdtorch
