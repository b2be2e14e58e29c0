#include "pipeline/hypernetworks.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <utility>

#include "adapters/hypernetwork.hpp"
#include "core/error.hpp"
#include "core/number.hpp"
#include "core/paths.hpp"
#include "io/add_on_files.hpp"
#include "pipeline/model_description.hpp"
#include "pipeline/prompt_tags.hpp"

namespace sdtorch {
namespace {

namespace fs = std::filesystem;

constexpr const char* hypernetwork_flag = "--hypernetwork";
constexpr const char* hypernetwork_dir_flag = "--hypernetwork-dir";
constexpr size_t most_hypernetworks_kept = 16;

struct NamedHypernetwork {
  fs::path file{};
  double weight = 1;
};

double hypernetwork_weight(const std::string& asked_by, const std::string& text) {
  const auto weight = parse_real(text);
  if (!weight) refuse(asked_by, fmt::format("'{}' is no weight", text), "a number, as 0.8");
  return *weight;
}

fs::path in_folder(const std::string& name, const std::string& asked_by, const std::string& folder) {
  return find_add_on(folder, name, {.asked_by = asked_by, .kind = "hypernetwork", .dir_flag = hypernetwork_dir_flag});
}

/// FILE[:W], or a name in the folder in the file's place.
NamedHypernetwork hypernetwork_of_flag(const std::string& text, const std::string& folder) {
  NamedHypernetwork named{.file = text};
  const size_t colon = text.rfind(':');
  if (colon != std::string::npos && !is_there(text)) {
    named.file = text.substr(0, colon);
    named.weight = hypernetwork_weight(fmt::format("{}: {}", hypernetwork_flag, text), text.substr(colon + 1));
  }
  if (is_there(named.file)) return named;
  if (folder.empty() || named.file.is_absolute()) require_add_on(named.file, hypernetwork_flag);
  named.file = in_folder(named.file.string(), hypernetwork_flag, folder);
  return named;
}

NamedHypernetwork hypernetwork_of_tag(const ExtraNetworkTag& tag, const std::string& folder) {
  const double weight = weights_of_tag(tag).unet.at(0, 1);
  return {.file = in_folder(tag.arguments.front(), asked_by_tag(tag), folder), .weight = weight};
}

/// All widths that the attention of a U-Net sees.
void add_widths(const ModelDescription& model, std::set<int64_t>& widths) {
  widths.insert(model.unet.cross_attention_dim);
  for (const UNetLevel& level : model.unet.levels) widths.insert(level.channels);
}

void require_any_width(const Hypernetwork& network, const std::set<int64_t>& widths, const fs::path& file) {
  std::vector<int64_t> own;
  for (const auto& [width, layers] : network.widths()) own.push_back(width);
  if (std::ranges::any_of(own, [&](int64_t width) { return widths.contains(width); })) return;
  fail(ErrorKind::model, file, "",
       fmt::format("is for layers of width {}, and the model has such of width {}", fmt::join(own, ", "),
                   fmt::join(widths, ", ")));
}

}  // namespace

HypernetworkShelf::HypernetworkShelf(std::string folder) : folder_(std::move(folder)), files_(most_hypernetworks_kept) {
  if (!folder_.empty() && !is_folder(folder_)) refuse(hypernetwork_dir_flag, fmt::format("'{}' is no folder", folder_));
}

std::shared_ptr<const Hypernetwork> HypernetworkShelf::read(const fs::path& file) {
  return files_.get(file, load_hypernetwork);
}

std::vector<WeightedHypernetwork> resolve_hypernetworks(const ModelDescription& model, const ModelDescription* refiner,
                                                        const Request& request) {
  HypernetworkShelf& shelf = *model.hypernetworks;
  std::vector<NamedHypernetwork> named;
  for (const std::string& text : request.hypernetwork) named.push_back(hypernetwork_of_flag(text, shelf.folder()));
  for (const ExtraNetworkTag& tag : tags_of(request)) {
    if (is_hypernetwork_tag(tag)) named.push_back(hypernetwork_of_tag(tag, shelf.folder()));
  }
  std::set<int64_t> widths;
  if (!named.empty()) add_widths(model, widths);
  if (!named.empty() && refiner) add_widths(*refiner, widths);
  std::vector<WeightedHypernetwork> resolved;
  for (const NamedHypernetwork& one : named) {
    auto network = shelf.read(one.file);
    require_any_width(*network, widths, one.file);
    if (one.weight != 0) resolved.push_back({.network = std::move(network), .weight = one.weight});
  }
  return resolved;
}

}  // namespace sdtorch
