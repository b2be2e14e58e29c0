#include "io/yaml.hpp"

#include <fmt/format.h>

#include "support/errors.hpp"

using namespace sdtorch;

TEST_CASE("a YAML file's scalars go by their path", "[io]") {
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

TEST_CASE("aliases are not expanded, and what is no YAML is named with its line", "[io]") {
  std::string bomb = "a0: &a0 [lol, lol]\n";
  for (int i = 1; i < 30; ++i) bomb += fmt::format("a{0}: &a{0} [*a{1}, *a{1}, *a{1}, *a{1}]\n", i, i - 1);
  CHECK(read_yaml_scalars(bomb, "f").size() <= 30);
  check_error(ErrorKind::model, "f: line 3: is no YAML: ", [] { read_yaml_scalars("a: 1\nb: 2\nc: d: 3\n", "f"); });
  check_error(ErrorKind::model, "f: line 2: is no YAML: ", [] { read_yaml_scalars("b:\n\ta: 1", "f"); });
  check_error(ErrorKind::model, "f: line 1: is no YAML: ", [] { read_yaml_scalars("a: [1, 2", "f"); });
  check_error(ErrorKind::model, "line 1: a mapping or list as a key", [] { read_yaml_scalars("? [a, b]\n: 1", "f"); });
  check_error(ErrorKind::model, "more than 1024 bytes",
              [] { read_yaml_scalars("? " + std::string(5000, 'k') + "\n: 1", "f"); });
  std::string deep;
  for (size_t i = 0; i < 100; ++i) deep += std::string(i, ' ') + "a:\n";
  check_error(ErrorKind::model, "line 65: nested more than 64 levels deep", [&] { read_yaml_scalars(deep, "f"); });
}

TEST_CASE("of YAML that is empty, null or aliased nothing is left", "[io]") {
  CHECK(read_yaml_scalars("", "f").empty());
  CHECK(read_yaml_scalars("# nothing\n", "f").empty());
  const auto scalars = read_yaml_scalars("a: &x v\nb: *x\nc:\nd: ~\n*x : 1\n", "f");
  CHECK(scalars.at("a") == "v");
}
