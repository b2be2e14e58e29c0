#include "weights/sidecar.hpp"

#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/temp_dir.hpp"

using namespace sdtorch;

TEST_CASE("a YAML file's scalars go by their path", "[weights]") {
  const auto scalars = read_yaml_scalars(R"(# a comment
model:
  target: "ldm.models.diffusion.ddpm"  # why
  params:
    parameterization: "v"
    linear_start: 0.00085
    inline: {a: 1, b: "x y", c}
    attention_resolutions: [ 4, 2,
      1 ]
    channel_mult:
      - 1
      - 2
    notes: |
      not: this
    emb_models:
      - is_trainable: False
        params:
          width: 768
)",
                                         "f.yaml");
  CHECK(scalars.at("model.target") == "ldm.models.diffusion.ddpm");
  CHECK(scalars.at("model.params.parameterization") == "v");
  CHECK(scalars.at("model.params.linear_start") == "0.00085");
  CHECK(scalars.at("model.params.inline.a") == "1");
  CHECK(scalars.at("model.params.inline.b") == "x y");
  CHECK(scalars.at("model.params.channel_mult.-") == "1");
  CHECK(scalars.at("model.params.emb_models.-.is_trainable") == "False");
  CHECK(scalars.at("model.params.emb_models.-.params.width") == "768");
  CHECK_FALSE(scalars.contains("model.params.not"));
}

TEST_CASE("aliases are not expanded, and what is no YAML is named with its line", "[weights]") {
  std::string bomb = "a0: &a0 [lol, lol]\n";
  for (int i = 1; i < 30; ++i) bomb += "a" + std::to_string(i) + ": &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\n";
  CHECK(read_yaml_scalars(bomb, "f").size() <= 30);
  check_error(ErrorKind::model, "f: line 2: `key: value` was expected", [] { read_yaml_scalars("a: 1\nb\n", "f"); });
  check_error(ErrorKind::model, "line 1: a tab", [] { read_yaml_scalars("\ta: 1", "f"); });
  std::string deep;
  for (size_t i = 0; i < 100; ++i) deep += std::string(i, ' ') + "a:\n";
  check_error(ErrorKind::model, "line 65: nested more than 64 levels deep", [&] { read_yaml_scalars(deep, "f"); });
}

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
