#include "weights/hub_cache.hpp"

#include <sys/stat.h>

#include <cstdlib>

#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/temp_dir.hpp"
#include "weights/model_folder.hpp"
#include "weights/model_path.hpp"

using sdtorch::ErrorKind;
using sdtorch::find_model;
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
  const Environment cache_set("HF_HUB_CACHE", "~/cache");
  CHECK(sdtorch::hub_cache() == "/home/x/cache");
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
  check_error(ErrorKind::model, "nor a model of this name in " + temp.path().string(), [] { find_model("org/name"); });
  write_file(model / "refs" / "main", "abc123");
  fs::create_directories(model / "snapshots");
  check_error(ErrorKind::model, "without a snapshot of its main branch", [] { find_model("org/name"); });
  write_file(model / "snapshots" / "abc123" / "unet" / "x.bin", "x");
  write_file(model / "snapshots" / "def456" / "y.bin", "y");
  for (const fs::path& name : {fs::path("org/name"), model, model / ""}) {
    INFO(name);
    CHECK(find_model(name) == model / "snapshots" / "abc123");
  }
  CHECK(find_model("org/name/unet/x.bin") == model / "snapshots" / "abc123" / "unet" / "x.bin");
  CHECK(find_model(model / "snapshots" / "def456") == model / "snapshots" / "def456");
  check_error(ErrorKind::model, "org/name/y.bin: there is no such file in", [] { find_model("org/name/y.bin"); });
  check_error(ErrorKind::model, "there is no such model", [] { find_model("org/name/../../y"); });
  check_error(ErrorKind::model, "abc123: is no diffusers model folder", [] { sdtorch::ModelFolder("org/name"); });
  write_file(model / "refs" / "main", "../../elsewhere");
  check_error(ErrorKind::model, "without a snapshot", [] { find_model("org/name"); });
}

TEST_CASE("a cache without a main branch leads to the only snapshot there is", "[weights]") {
  const TempDir temp;
  const fs::path model = temp / "models--org--name";
  fs::create_directories(model / "snapshots" / "abc123");
  CHECK(find_model(model) == model / "snapshots" / "abc123");
  fs::create_directories(model / "snapshots" / "def456");
  check_error(ErrorKind::model, "name one of its snapshots", [&] { find_model(model); });
}

TEST_CASE("paths that lead nowhere are told apart", "[weights]") {
  const TempDir temp;
  fs::create_symlink("gone", temp / "link");
  fs::create_symlink("loop", temp / "loop");
  check_error(ErrorKind::model, "link: is a link to gone, which is not there", [&] { find_model(temp / "link"); });
  check_error(ErrorKind::model, "loop: cannot be looked at: Too many levels", [&] { find_model(temp / "loop"); });
  check_error(ErrorKind::model, "none: there is no such model", [&] { find_model(temp / "none"); });
  CHECK(find_model("") == sdtorch::built_in_model());
}

TEST_CASE("what is no branch's file in the cache is not read", "[weights]") {
  const TempDir folder;
  const fs::path commit = folder / "snapshots" / "abc";
  fs::create_directories(commit);
  fs::create_directories(folder / "refs");
  CHECK(sdtorch::snapshot_of(folder.path()) == commit);
  write_file(folder / "refs" / "main", "abc\n");
  CHECK(sdtorch::snapshot_of(folder.path()) == commit);
  std::string long_file(1 << 20, ' ');
  long_file += "abc";
  write_file(folder / "refs" / "main", long_file);
  CHECK_FALSE(sdtorch::snapshot_of(folder.path()));
  fs::remove(folder / "refs" / "main");
  REQUIRE(mkfifo((folder / "refs" / "main").c_str(), 0600) == 0);
  CHECK_FALSE(sdtorch::snapshot_of(folder.path()));
}
