#include "sdtorch/weights/hub_cache.hpp"

#include <cstdlib>

#include "sdtorch/weights/model_folder.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/temp_dir.hpp"

using sdtorch::ErrorKind;
using sdtorch::find_in_hub_cache;
namespace fs = std::filesystem;

namespace {

/// An environment variable set to a value, or unset for an empty one, until the end of the scope.
class Environment {
 public:
  Environment(const char* name, const std::string& value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    set(value);
  }
  ~Environment() { set(old_); }

 private:
  void set(const std::string& value) {
    if (value.empty()) {
      unsetenv(name_);
    } else {
      setenv(name_, value.c_str(), 1);
    }
  }
  const char* name_;
  std::string old_{};
};

}  // namespace

TEST_CASE("the cache is where the variables say, the most special first", "[weights]") {
  const Environment home("HOME", "/home/x"), xdg("XDG_CACHE_HOME", ""), hf_home("HF_HOME", "");
  const Environment old("HUGGINGFACE_HUB_CACHE", ""), cache("HF_HUB_CACHE", "");
  CHECK(sdtorch::hub_cache() == "/home/x/.cache/huggingface/hub");
  const Environment xdg_set("XDG_CACHE_HOME", "/xdg");
  CHECK(sdtorch::hub_cache() == "/xdg/huggingface/hub");
  const Environment home_set("HF_HOME", "/hf");
  CHECK(sdtorch::hub_cache() == "/hf/hub");
  const Environment cache_set("HF_HUB_CACHE", "/cache");
  CHECK(sdtorch::hub_cache() == "/cache");
}

TEST_CASE("names of the hub are told from paths", "[weights]") {
  for (const char* name : {"org/name", "stable-diffusion-v1-5/stable-diffusion-v1-5", "a/b_c.d"}) {
    CHECK(sdtorch::is_hub_name(name));
  }
  for (const char* name : {"name", "/name", "org/", "a/b/c", "../b", "a/..", "./b", "a b/c", ""}) {
    CHECK_FALSE(sdtorch::is_hub_name(name));
  }
}

TEST_CASE("a model is found in the cache by its main branch", "[weights]") {
  const TempDir temp;
  const Environment cache("HF_HUB_CACHE", temp.path().string());
  const fs::path model = temp / "models--org--name";
  CHECK_FALSE(find_in_hub_cache("org/name"));
  write_file(model / "refs" / "main", "abc123");
  CHECK_FALSE(find_in_hub_cache("org/name"));
  fs::create_directories(model / "snapshots" / "abc123");
  CHECK(find_in_hub_cache("org/name") == model / "snapshots" / "abc123");
  check_error(ErrorKind::model, "abc123: is no diffusers model folder", [] { sdtorch::ModelFolder("org/name"); });
  check_error(ErrorKind::model,
              "org/other: there is no such model folder, nor a model of this name in " + temp.path().string(),
              [] { sdtorch::ModelFolder("org/other"); });
  write_file(model / "refs" / "main", "../../elsewhere");
  CHECK_FALSE(find_in_hub_cache("org/name"));
}
