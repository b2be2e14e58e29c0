// convert and merge as commands: exit codes, messages, and what goes to which stream.
#include "support/catch.hpp"
#include "support/families.hpp"
#include "support/process.hpp"
#include "support/temp_dir.hpp"

TEST_CASE("convert and merge print what they wrote, and end as documented", "[cli][convert]") {
  const TempDir temp;
  const std::string model = folder_of_family("sd1").string();
  const std::string file = (temp / "m.safetensors").string(), out = (temp / "out").string();
  const ProcessResult converted = run_sdtorch({"convert", model, file});
  CHECK(converted.exit_code == 0);
  CHECK(converted.out == file + "\n");
  CHECK(run_sdtorch({"merge", model, file, "-o", out, "--weights", "0.3,mid=1"}).exit_code == 0);
  struct Misused {
    std::vector<std::string> arguments;
    int exit_code;
    std::string message;
  };
  const Misused misused[] = {
      {{"convert", model}, 2, "OUT: where to write is missing"},
      {{"convert", model, out, "more"}, 2, "'more': one argument too many"},
      {{"convert", model, file}, 6, "is there already; --force replaces it"},
      {{"convert", model, (temp / "x").string(), "--shard", "big"}, 2, "--shard: 'big' is no size"},
      {{"convert", model, (temp / "x").string(), "--dtype", "fp8"}, 2, "--dtype: 'fp8'"},
      {{"convert", (temp / "none").string(), (temp / "x").string()}, 4, "none"},
      {{"merge", model, "-o", (temp / "x").string()}, 2, "one model alone is nothing to merge"},
      {{"merge", model, model, "--weights", "1"}, 2, "--output: where to write is missing"},
  };
  for (const Misused& m : misused) {
    const ProcessResult ended = run_sdtorch(m.arguments);
    INFO(ended.err);
    CHECK(ended.exit_code == m.exit_code);
    CHECK(ended.err.find(m.message) != std::string::npos);
  }
}
