#include "weights/kept_model.hpp"

#include <fmt/format.h>

#include "core/error.hpp"
#include "io/json.hpp"
#include "io/json_text.hpp"

namespace sdtorch {
namespace {

using nlohmann::json;

constexpr const char* metadata_name = "sdtorch.model";
constexpr size_t longest_document = size_t{1} << 20;

/// Checks the document's form; what the configs say, their readers check.
class KeptReader {
 public:
  KeptReader(const json& document, std::string place, const std::string& file)
      : document_(document), place_(std::move(place)), file_(file) {}

  json object(const char* key) const {
    const json& value = at(key);
    if (!value.is_object()) refuse(key, fmt::format("an object was expected, found {}", value.type_name()));
    return value;
  }

  std::map<std::string, json> objects(const char* key) const {
    std::map<std::string, json> objects;
    const json found = object(key);
    for (const auto& [name, value] : found.items()) {
      if (!value.is_object()) {
        refuse(fmt::format("{}.{}", key, name), fmt::format("an object was expected, found {}", value.type_name()));
      }
      objects.emplace(name, value);
    }
    return objects;
  }

  std::set<std::string> names(const char* key) const {
    const json& value = at(key);
    if (!value.is_array()) refuse(key, fmt::format("an array was expected, found {}", value.type_name()));
    std::set<std::string> names;
    for (const json& name : value) {
      if (!name.is_string()) refuse(key, fmt::format("a string was expected, found {}", name.type_name()));
      names.insert(name.get<std::string>());
    }
    return names;
  }

 private:
  const json& at(const char* key) const {
    const auto found = document_.find(key);
    if (found == document_.end()) refuse(key, "missing");
    return *found;
  }

  [[noreturn]] void refuse(const std::string& key, std::string reason) const {
    fail(ErrorKind::model, file_, fmt::format("{}: {}", place_, key), std::move(reason));
  }

  const json& document_;
  std::string place_;
  const std::string& file_;
};

}  // namespace

void keep_model(const KeptModel& model, std::map<std::string, std::string>& metadata) {
  const json document = {{"model_index", model.index},
                         {"scheduler", model.scheduler},
                         {"configs", model.configs},
                         {"tokenizers", model.tokenizers},
                         {"prefixed", model.prefixed}};
  metadata[metadata_name] = json_text(document);
  const auto prediction = model.scheduler.find("prediction_type");
  const bool said = prediction != model.scheduler.end() && prediction->is_string();
  const std::string name = said ? prediction->get<std::string>() : "epsilon";
  metadata["modelspec.prediction_type"] = name == "v_prediction" ? "v" : name;
}

std::optional<KeptModel> kept_model(const std::map<std::string, std::string>& metadata, const std::string& file) {
  const auto found = metadata.find(metadata_name);
  if (found == metadata.end()) return std::nullopt;
  const std::string place = fmt::format("__metadata__: {}", metadata_name);
  const json document =
      parse_json(found->second, fmt::format("{}: {}", file, place), ErrorKind::model, {.max_bytes = longest_document});
  if (!document.is_object()) {
    fail(ErrorKind::model, file, place, fmt::format("an object was expected, found {}", document.type_name()));
  }
  const KeptReader reader(document, place, file);
  const json scheduler = reader.object("scheduler");
  if (!scheduler.value("_class_name", json()).is_string()) {
    fail(ErrorKind::model, file, place + ": scheduler._class_name", "a scheduler's class was expected");
  }
  return KeptModel{.index = reader.object("model_index"),
                   .scheduler = scheduler,
                   .configs = reader.objects("configs"),
                   .tokenizers = reader.names("tokenizers"),
                   .prefixed = reader.names("prefixed")};
}

}  // namespace sdtorch
