#include "weights/sidecar.hpp"

#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/temp_dir.hpp"

using namespace sdtorch;

TEST_CASE("settings are found beside a model, in YAML or JSON", "[weights]") {
  const TempDir folder;
  CHECK_FALSE(find_sidecar(folder / "m.safetensors"));
  write_file(folder / "m.json", R"({"a": {"prediction_type": "v_prediction", "n": 3}, "list": [1]})");
  const auto found = find_sidecar(folder / "m.safetensors");
  REQUIRE(found);
  CHECK(found->find("prediction_type") == "v_prediction");
  CHECK(found->find("n") == "3");
  CHECK_FALSE(found->find("type"));
  write_file(folder / "m.yaml", "params: {x: 1}\nprediction_type: eps\n");
  CHECK(find_sidecar(folder / "m.safetensors")->find("prediction_type") == "eps");
  write_file(folder / "n.json", "{");
  check_error(ErrorKind::model, "n.json", [&] { find_sidecar(folder / "n.ckpt"); });
}
