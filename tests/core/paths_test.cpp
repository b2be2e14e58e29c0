#include "core/paths.hpp"

#include <filesystem>

#include "support/catch.hpp"

TEST_CASE("the built-in model lies in the share folder beside the executable's", "[core]") {
  const std::filesystem::path share = sdtorch::share_folder();
  CHECK(share.is_absolute());
  CHECK(std::filesystem::is_regular_file(share / "models" / "demo" / "model_index.json"));
}
