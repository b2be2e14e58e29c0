// Hypernetworks that a request names, by flag or in its prompt.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "io/file_cache.hpp"
#include "networks/hypernetwork.hpp"
#include "sdtorch/request.hpp"

namespace sdtorch {

struct ModelDescription;

/// A hypernetwork's part in a picture.
struct WeightedHypernetwork {
  std::shared_ptr<const Hypernetwork> network{};
  double weight = 1;  ///< w in x + w·f(x)
};

/// What was read for a model, each file once.
class HypernetworkShelf {
 public:
  /// folder: ModelChoice::hypernetwork_dir. Throws ErrorKind::usage naming --hypernetwork-dir where that is no folder.
  explicit HypernetworkShelf(std::string folder);

  const std::string& folder() const { return folder_; }

  /// Throws as load_hypernetwork.
  std::shared_ptr<const Hypernetwork> read(const std::filesystem::path& file);

 private:
  std::string folder_;
  FileCache<Hypernetwork> files_;
};

/// Those of Request::hypernetwork, then those of the prompt's `<hypernet:NAME:W>` tags, in their order, as A1111
/// applies them. A weight of 0 changes nothing, and is left out. refiner: may be nullptr. Throws ErrorKind::usage
/// naming flag or tag: a file that is not there, a name that is ambiguous, no weight; ErrorKind::model naming the file
/// that is no hypernetwork, or none for these models' widths.
std::vector<WeightedHypernetwork> resolve_hypernetworks(const ModelDescription& model, const ModelDescription* refiner,
                                                        const Request& request);

}  // namespace sdtorch
