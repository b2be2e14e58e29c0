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

}  // namespace sdtorch
