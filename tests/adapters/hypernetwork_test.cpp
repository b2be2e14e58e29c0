// Against torch's own modules, put together as A1111 says (scripts/goldens/hypernetworks.py).
#include "adapters/hypernetwork.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <set>

#include "support/catch.hpp"
#include "support/checkpoints.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/golden.hpp"
#include "support/temp_dir.hpp"
#include "support/tolerance.hpp"

using namespace sdtorch;

namespace {

constexpr double golden_weight = 0.75;

AttentionSources applied(const Hypernetwork& network, const at::Tensor& x, std::vector<int64_t> pictures) {
  const HypernetworkCall call{.networks = {{network.on(at::kCPU, at::kFloat), golden_weight}},
                              .pictures = std::move(pictures)};
  return apply_hypernetworks(call, x);
}

/// A pickled network of one linear layer of width 2, and values beside it.
std::string one_layer(std::vector<std::string> values, const std::vector<int64_t>& shape = {2, 2}) {
  using namespace pickled;
  const std::string weight = tensor({.shape = shape, .strides = {shape[1], 1}});
  const std::string bias = tensor({.shape = {2}, .strides = {1}});
  const std::string state = dict({text("linear.0.weight"), weight, text("linear.0.bias"), bias});
  values.insert(values.begin(), {integer(2), tuple({state, state})});
  return dict(values);
}

std::string numbers(const std::vector<int64_t>& values) { return pickled::integers(values); }

}  // namespace

TEST_CASE("hypernetworks of every activation and structure equal torch's modules", "[adapters]") {
  const auto golden = load_golden("hypernetworks/outputs");
  size_t compared = 0;
  for (const auto& [key, expected] : golden) {
    if (key.starts_with("input.") || !key.ends_with(".keys")) continue;
    INFO(key);
    const size_t width_at = key.rfind('.', key.size() - 6);
    const std::string name = key.substr(0, width_at), width = key.substr(width_at + 1, key.size() - width_at - 6);
    const auto network = load_hypernetwork(golden_path("hypernetworks/" + name + ".pt"));
    const at::Tensor x = golden.at("input." + width);
    const AttentionSources found = applied(*network, x, {0, 0});
    CHECK(relative_error(found.keys, expected) <= tolerance::tensor_relative);
    CHECK(relative_error(found.values, golden.at(name + "." + width + ".values")) <= tolerance::tensor_relative);
    ++compared;
  }
  CHECK(compared >= 35);
}

TEST_CASE("each picture's rows are a hypernetwork's by themselves", "[adapters]") {
  const at::Tensor x = load_golden("hypernetworks/outputs").at("input.6");
  for (const char* name : {"activation-softmax", "activation-softmin", "activation-logsoftmax"}) {
    const auto network = load_hypernetwork(golden_path(fmt::format("hypernetworks/{}.pt", name)));
    const at::Tensor alone = applied(*network, x, {0, 0}).keys;
    // Two pictures of two rows each, the second one's the first one's with other signs.
    const at::Tensor both = applied(*network, at::cat({x[0].unsqueeze(0), -x, x[1].unsqueeze(0)}), {3, 1, 1, 3}).keys;
    CHECK(at::allclose(both[0], alone[0]));
    CHECK(at::allclose(both[3], alone[1]));
    CHECK_FALSE(at::allclose(alone, applied(*network, x, {0, 1}).keys));
  }
}

TEST_CASE("a hypernetwork leaves other widths alone, and several follow one another", "[adapters]") {
  const auto first = load_hypernetwork(golden_path("hypernetworks/no-values.pt"));
  const auto second = load_hypernetwork(golden_path("hypernetworks/normed.pt"));
  const at::Tensor other = at::randn({2, 3, 7});
  CHECK(applied(*first, other, {0, 0}).keys.is_same(other));
  const at::Tensor x = load_golden("hypernetworks/outputs").at("input.6");
  const auto on = [](const auto& network) { return network->on(at::kCPU, at::kFloat); };
  const auto run = [&](HypernetworkCall call) { return apply_hypernetworks(call, x).values; };
  const at::Tensor half = run({.networks = {{on(first), 0.5}}, .pictures = {0, 0}});
  const HypernetworkCall then{.networks = {{on(second), -1.5}}, .pictures = {0, 0}};
  const at::Tensor both = run({.networks = {{on(first), 0.5}, {on(second), -1.5}}, .pictures = {0, 0}});
  CHECK(at::allclose(both, apply_hypernetworks(then, half).values));
  CHECK(on(first) == on(first));  // made once
}

TEST_CASE("values that say no layers are refused by key", "[adapters]") {
  using namespace pickled;
  const TempDir folder;
  const auto refused = [&](const std::string& value, const std::string& fragment) {
    write_file(folder / "a.pt", torch_zip(value));
    INFO(fragment);
    check_error(ErrorKind::model, fragment, [&] { load_hypernetwork(folder / "a.pt"); });
  };
  const std::string structure = text("layer_structure"), single = numbers({1, 1}), activation = text("activation_func");
  write_file(folder / "a.pt", torch_zip(one_layer({structure, single})));
  CHECK(load_hypernetwork(folder / "a.pt")->widths().size() == 1);
  write_file(folder / "a.pt", torch_zip(one_layer({structure, single, activation, text("ReLU"), text("is_layer_norm"),
                                                   "N", text("activate_output"), "\x89"})));
  CHECK(load_hypernetwork(folder / "a.pt")->widths().at(2)[0].size() == 1);

  refused(one_layer({}), "a.pt: 2.0.linear.0.weight: numbers of the shape [4, 2] were expected, this is Float [2, 2]");
  refused(one_layer({structure, numbers({1})}), "a.pt: layer_structure: must begin and end with 1, is [1]");
  refused(one_layer({structure, numbers({})}), "layer_structure: must begin and end with 1, is []");
  refused(one_layer({structure, numbers({1, 2})}), "must begin and end with 1, is [1, 2]");
  refused(one_layer({structure, numbers({1, 0, 1})}), "layer_structure: 0 is no width");
  refused(one_layer({structure, numbers({1, -3, 1})}), "layer_structure: -3 is no width");
  refused(one_layer({structure, numbers({1, int64_t{1} << 40, 1})}), "is no width");
  refused(one_layer({structure, text("1, 1")}), "layer_structure: must be a list of numbers");
  refused(one_layer({structure, tuple({text("1"), text("1")})}), "layer_structure: must be a list of numbers");
  refused(one_layer({structure, numbers({1, 1, 1})}), "2.0.linear.1.weight: is missing");
  refused(one_layer({structure, single, activation, text("wobble")}),
          "a.pt: activation_func: there is no activation 'wobble'");
  refused(one_layer({structure, single, activation, text("GLU")}), "activation_func: GLU halves what it is given");
  refused(one_layer({structure, single, activation, text("threshold")}), "needs numbers that no file has");
  refused(one_layer({structure, single, activation, integer(3)}), "activation_func: must be a name");
  refused(one_layer({structure, single, activation, text("prelu")}), "2.0.linear.1.weight: is missing");
  refused(one_layer({structure, single, text("is_layer_norm"), text("no")}), "is_layer_norm: must be true or false");
  refused(one_layer({structure, single, text("is_layer_norm"), "\x88"}), "2.0.linear.1.weight: is missing");
  refused(one_layer({structure, single, text("dropout_structure"), numbers({0})}),
          "dropout_structure: 1 numbers for 2 widths");
  refused(one_layer({structure, single, text("dropout_structure"), numbers({0, 2})}),
          "dropout_structure: 2 is no share");
  refused(dict({text("x"), tensor()}), "a.pt: this is nothing known, no hypernetwork");
  refused(dict({integer(2), tuple({dict({text("linear.0.weight"), tensor()})})}), "2.0.linear.0.weight");
  write_file(folder / "b.pt", "no pickle");
  check_error(ErrorKind::model, "b.pt", [&] { load_hypernetwork(folder / "b.pt"); });
}

TEST_CASE("layers that no value tells of are refused", "[adapters]") {
  using namespace pickled;
  const TempDir folder;
  const std::string bias = tensor({.shape = {2}, .strides = {1}});
  const std::string state =
      dict({text("linear.0.weight"), tensor(), text("linear.0.bias"), bias, text("linear.7.bias"), bias});
  write_file(folder / "a.pt",
             torch_zip(dict({integer(2), tuple({state, state}), text("layer_structure"), numbers({1, 1})})));
  check_error(ErrorKind::model, "a.pt: 2.0.linear.7.bias: does not fit layer_structure and its kin",
              [&] { load_hypernetwork(folder / "a.pt"); });
}

TEST_CASE("a hypernetwork whose numbers are not finite is refused by its tensor", "[adapters]") {
  using namespace pickled;
  const TempDir folder;
  const std::vector<ZipPart> numbers_of_ones = {{.name = "archive/data/0", .data = std::string(16, '\xff')}};
  write_file(folder / "a.pt", torch_zip_with(one_layer({text("layer_structure"), numbers({1, 1})}), numbers_of_ones));
  check_error(ErrorKind::model, "2.0.linear.0.weight: has numbers that are not finite",
              [&] { load_hypernetwork(folder / "a.pt"); });
}
