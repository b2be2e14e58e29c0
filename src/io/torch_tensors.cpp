#include "sdtorch/io/torch_tensors.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <unordered_map>
#include <utility>

#include "sdtorch/core/error.hpp"
#include "torch_builders.hpp"

namespace sdtorch {
namespace {

constexpr size_t max_depth = 200;
constexpr size_t max_tensors = size_t{1} << 16;  // of SDXL and its optimiser: 10,000
constexpr size_t max_visits = 4'000'000;  // objects may be shared, and a tree of shares is larger than its pickle

/// Where a module keeps its parts: they add nothing to a name.
bool is_module_part(std::string_view key) { return key == "_parameters" || key == "_buffers" || key == "_modules"; }

std::string scalar_text(const PickleNode& node) {
  switch (node.kind) {
    case PickleKind::text:
      return std::string(node.text);
    case PickleKind::integer:
      return std::to_string(node.integer);
    case PickleKind::real:
      return fmt::format("{}", node.real);
    case PickleKind::boolean:
      return node.integer != 0 ? "True" : "False";
    default:
      return {};
  }
}

class Walk {
 public:
  Walk(const Pickle& pickle, const std::string& file) : pickle_(pickle), file_(file), builders_(pickle, file) {}

  TorchTensors run() {
    visit(pickle_.root());
    read_scalars();
    result_.storages = builders_.take_storages();
    return std::move(result_);
  }

 private:
  enum State : uint8_t { unseen, open, barren };

  [[noreturn]] void fail(std::string reason) const {
    throw Error(ErrorKind::model, {.file = file_, .place = joined(path_), .reason = std::move(reason)});
  }

  /// Adds what is below the node; whether that is any tensor. A node within itself is not entered again: objects
  /// that refer back to what holds them have no tensors of their own there.
  bool visit(PickleRef ref) {
    const PickleNode& node = pickle_[ref];
    if (builders_.is_tensor(ref)) {
      if (result_.tensors.size() == max_tensors) fail(fmt::format("there are more than {} tensors", max_tensors));
      result_.tensors.push_back(builders_.read(ref, path_));
      return true;
    }
    const bool is_container = node.kind == PickleKind::dict || node.kind == PickleKind::list ||
                              node.kind == PickleKind::tuple || node.kind == PickleKind::object;
    if (!is_container || state_of(ref) != unseen) return false;
    if (path_.size() >= max_depth) fail(fmt::format("nested more than {} deep", max_depth));
    visits_ += 1 + node.items.size();
    if (visits_ > max_visits) fail("objects are shared more often than any checkpoint does");
    state_of(ref) = open;
    const bool found = visit_items(node);
    state_of(ref) = found ? unseen : barren;
    return found;
  }

  uint8_t& state_of(PickleRef ref) { return states_[ref]; }

  bool visit_items(const PickleNode& node) {
    bool found = false;
    if (node.kind == PickleKind::dict || (node.kind == PickleKind::object && node.pairs)) {
      found = visit_pairs(node.items);
    } else {
      found = visit_list(node.items);
    }
    if (node.kind != PickleKind::object) return found;
    if (const std::vector<PickleRef> pairs = ordered_dict_pairs(node); !pairs.empty())
      found = visit_pairs(pairs) || found;
    if (node.state == PickleNode::nothing) return found;
    const PickleNode& state = pickle_[node.state];
    // __slots__ make it a tuple of two dicts.
    if (state.kind == PickleKind::dict) found = visit_pairs(state.items) || found;
    if (state.kind == PickleKind::object) found = visit(node.state) || found;
    return found;
  }

  /// OrderedDict([(key, value), …]), as Python 2 wrote it.
  std::vector<PickleRef> ordered_dict_pairs(const PickleNode& node) const {
    std::vector<PickleRef> pairs;
    const PickleNode& callee = pickle_[node.callee];
    const PickleNode& arguments = pickle_[node.arguments];
    if (callee.kind != PickleKind::global || callee.text != "collections.OrderedDict") return pairs;
    if (arguments.kind != PickleKind::tuple || arguments.items.size() != 1) return pairs;
    for (const PickleRef item : pickle_[arguments.items[0]].items) {
      const PickleNode& pair = pickle_[item];
      const bool is_pair = (pair.kind == PickleKind::tuple || pair.kind == PickleKind::list) && pair.items.size() == 2;
      if (is_pair) pairs.insert(pairs.end(), pair.items.begin(), pair.items.end());
    }
    return pairs;
  }

  bool visit_list(const std::vector<PickleRef>& items) {
    bool found = false;
    for (size_t i = 0; i < items.size(); ++i) found = visit_below(std::to_string(i), items[i]) || found;
    return found;
  }

  bool visit_pairs(const std::vector<PickleRef>& items) {
    std::unordered_map<std::string, size_t> last;  // of equal keys the last one counts
    for (size_t i = 0; i + 1 < items.size(); i += 2) last[key_of(items[i], i)] = i;
    bool found = false;
    for (size_t i = 0; i + 1 < items.size(); i += 2) {
      const std::string key = key_of(items[i], i);
      if (last[key] != i) continue;
      const std::string segment = key.substr(1);
      found = (is_module_part(segment) ? visit(items[i + 1]) : visit_below(segment, items[i + 1])) || found;
    }
    return found;
  }

  /// Text and numbers as they are, behind a letter that keeps 1 and "1" apart; other keys by their place.
  std::string key_of(PickleRef ref, size_t index) const {
    const PickleNode& key = pickle_[ref];
    const std::string text = scalar_text(key);
    if (key.kind == PickleKind::text) return "t" + text;
    return text.empty() ? fmt::format("#key {}", index / 2) : "n" + text;
  }

  bool visit_below(std::string segment, PickleRef ref) {
    path_.push_back(std::move(segment));
    const bool found = visit(ref);
    path_.pop_back();
    return found;
  }

  void read_scalars() {
    const PickleNode& root = pickle_[pickle_.root()];
    if (root.kind != PickleKind::dict && !root.pairs) return;
    for (size_t i = 0; i + 1 < root.items.size(); i += 2) {
      const PickleNode& key = pickle_[root.items[i]];
      const std::string text = scalar_text(pickle_[root.items[i + 1]]);
      if (key.kind == PickleKind::text && !text.empty()) result_.scalars[std::string(key.text)] = text;
    }
  }

  const Pickle& pickle_;
  const std::string& file_;
  TorchBuilders builders_;
  TorchTensors result_{};
  std::vector<std::string> path_{};
  std::unordered_map<PickleRef, uint8_t> states_{};
  size_t visits_ = 0;
};

}  // namespace

std::string joined(const std::vector<std::string>& path) { return fmt::format("{}", fmt::join(path, ".")); }

TorchTensors find_torch_tensors(const Pickle& pickle, const std::string& file) { return Walk(pickle, file).run(); }

}  // namespace sdtorch
