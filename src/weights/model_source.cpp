#include "sdtorch/weights/model_source.hpp"

#include <system_error>

#include "sdtorch/weights/model_folder.hpp"
#include "sdtorch/weights/single_file.hpp"

namespace sdtorch {

std::shared_ptr<const ModelSource> open_model(const std::filesystem::path& path_or_name,
                                              const std::string& prediction) {
  std::error_code ignored;
  if (std::filesystem::is_regular_file(path_or_name, ignored)) {
    return std::make_shared<const SingleFile>(path_or_name, prediction);
  }
  return std::make_shared<const ModelFolder>(path_or_name);
}

}  // namespace sdtorch
