#include "io/torch_tensors.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "core/error.hpp"
#include "core/utf8.hpp"
#include "io/torch_builders.hpp"

namespace sdtorch {
namespace {

constexpr size_t max_depth = 200;
constexpr size_t max_tensors = size_t{1} << 16;  // of SDXL and its optimiser: 10,000
constexpr size_t max_work = 4'000'000;  // objects may be shared, and a tree of shares is larger than its pickle

// Keys may be shared, too: a name that a pickle refers to in two bytes is copied for each tensor.
constexpr size_t max_name_bytes = 4096;
constexpr size_t max_names_bytes = size_t{64} << 20;  // of all tensors
constexpr size_t max_segments = size_t{8} << 20;      // of all tensors' paths
constexpr size_t max_scalar_bytes = 4096, max_scalars_bytes = size_t{1} << 20;
constexpr size_t max_list = 1000;  // of numbers
constexpr size_t max_scalar_depth = 4, max_scalar_items = 1'000'000;
constexpr size_t shown_key_bytes = 100;

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

  TorchTensors run(const TorchSearch& search) {
    visit(pickle_.root());
    read_scalars(pickle_.root(), "", 0);
    if (search.all_storages) builders_.read_all_storages();
    result_.storages = builders_.take_storages();
    return std::move(result_);
  }

 private:
  enum State : uint8_t { unseen, open, barren };

  [[noreturn]] void fail(std::string reason) const {
    throw Error(ErrorKind::model, {.file = file_, .place = joined(path_), .reason = std::move(reason)});
  }

  /// Whatever is looked at is paid for here, every time that it is.
  void spend(size_t items) {
    work_ += items;
    if (work_ > max_work) fail("objects are shared more often than any checkpoint does");
  }

  /// Adds what is below the node; whether that is any tensor. A node within itself is not entered again: objects
  /// that refer back to what holds them have no tensors of their own there.
  bool visit(PickleRef ref) {
    spend(1);
    const PickleNode& node = pickle_[ref];
    if (builders_.is_tensor(ref)) {
      add(ref);
      return true;
    }
    const bool is_container = node.kind == PickleKind::dict || node.kind == PickleKind::list ||
                              node.kind == PickleKind::tuple || node.kind == PickleKind::object;
    if (!is_container || state_of(ref) != unseen) return false;
    if (depth_ == max_depth) fail(fmt::format("nested more than {} deep", max_depth));
    state_of(ref) = open;
    ++depth_;
    const bool found = visit_items(node);
    --depth_;
    state_of(ref) = found ? unseen : barren;
    return found;
  }

  void add(PickleRef tensor) {
    if (result_.tensors.size() == max_tensors) fail(fmt::format("there are more than {} tensors", max_tensors));
    if (name_bytes_ > max_name_bytes) {
      fail(fmt::format("a tensor's name of {} bytes, more than {}", name_bytes_, max_name_bytes));
    }
    names_bytes_ += name_bytes_;
    segments_ += path_.size();
    if (names_bytes_ > max_names_bytes || segments_ > max_segments) {
      fail("the tensors' names take up more memory than any checkpoint's");
    }
    result_.tensors.push_back(builders_.read(tensor, path_));
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
  std::vector<PickleRef> ordered_dict_pairs(const PickleNode& node) {
    std::vector<PickleRef> pairs;
    const PickleNode& callee = pickle_[node.callee];
    const PickleNode& arguments = pickle_[node.arguments];
    if (callee.kind != PickleKind::global || callee.text != "collections.OrderedDict") return pairs;
    if (arguments.kind != PickleKind::tuple || arguments.items.size() != 1) return pairs;
    const std::vector<PickleRef>& items = pickle_[arguments.items[0]].items;
    spend(items.size());
    for (const PickleRef item : items) {
      const PickleNode& pair = pickle_[item];
      const bool is_pair = (pair.kind == PickleKind::tuple || pair.kind == PickleKind::list) && pair.items.size() == 2;
      if (is_pair) pairs.insert(pairs.end(), pair.items.begin(), pair.items.end());
    }
    return pairs;
  }

  bool visit_list(const std::vector<PickleRef>& items) {
    bool found = false;
    for (size_t i = 0; i < items.size(); ++i) {
      const std::string segment = std::to_string(i);
      found = visit_below(segment, items[i]) || found;
    }
    return found;
  }

  bool visit_pairs(const std::vector<PickleRef>& items) {
    const std::vector<bool> last = last_of_equal_keys(items);
    bool found = false;
    for (size_t i = 0; i + 1 < items.size(); i += 2) {
      if (!last[i / 2]) continue;
      const PickleNode& key = pickle_[items[i]];
      const PickleRef value = items[i + 1];
      if (key.kind == PickleKind::text) {
        found = (is_module_part(key.text) ? visit(value) : visit_below(key.text, value)) || found;
        continue;
      }
      std::string segment = scalar_text(key);
      if (segment.empty()) segment = fmt::format("key {}", i / 2);
      found = visit_below(segment, value) || found;
    }
    return found;
  }

  /// Of each key and value, whether no equal key follows. 1 and "1" differ; keys that are no text and no number differ
  /// from all others, and so do those that are too long to name a tensor.
  std::vector<bool> last_of_equal_keys(const std::vector<PickleRef>& items) {
    constexpr size_t bytes_of_work = 64;  // comparing so many costs about as much as an item
    spend(items.size());
    std::vector<bool> last(items.size() / 2, true);
    std::unordered_set<std::string_view> texts;
    std::unordered_set<std::string> numbers;
    for (size_t i = last.size(); i-- > 0;) {
      const PickleNode& key = pickle_[items[2 * i]];
      if (key.kind != PickleKind::text) {
        const std::string number = scalar_text(key);
        last[i] = number.empty() || numbers.insert(number).second;
      } else if (key.text.size() <= max_name_bytes) {
        spend(key.text.size() / bytes_of_work);
        last[i] = texts.insert(key.text).second;
      }
    }
    return last;
  }

  /// Of a segment that is too long to name a tensor only what a message shows is kept.
  bool visit_below(std::string_view segment, PickleRef ref) {
    const size_t size = segment.size();
    path_.push_back(size > max_name_bytes ? shortened(segment, shown_key_bytes) : std::string(segment));
    name_bytes_ += size;
    const bool found = visit(ref);
    name_bytes_ -= size;
    path_.pop_back();
    return found;
  }

  /// Those of a dict and of the dicts in it. Long texts are left out, and whatever comes when there are many: nothing
  /// needs them.
  void read_scalars(PickleRef ref, const std::string& path, size_t depth) {
    const PickleNode& dict = pickle_[ref];
    if (dict.kind != PickleKind::dict && !dict.pairs) return;
    const auto is_full = [&] { return scalar_bytes_ >= max_scalars_bytes || scalar_items_ >= max_scalar_items; };
    for (size_t i = 0; i + 1 < dict.items.size() && !is_full(); i += 2, ++scalar_items_) {
      const PickleNode& key = pickle_[dict.items[i]];
      const PickleNode& value = pickle_[dict.items[i + 1]];
      if (key.kind != PickleKind::text) continue;
      if (key.text.size() > max_scalar_bytes || value.text.size() > max_scalar_bytes) continue;
      const std::string name(key.text);
      if (depth == 0) result_.values[name] = value_of(value);
      const std::string text = scalar_text(value);
      scalar_bytes_ += key.text.size() + text.size();
      if (!text.empty()) result_.scalars[path][name] = text;
      if (depth < max_scalar_depth) read_scalars(dict.items[i + 1], depth == 0 ? name : path + "." + name, depth + 1);
    }
  }

  TorchValue value_of(const PickleNode& node) {
    switch (node.kind) {
      case PickleKind::none:
        return std::monostate{};
      case PickleKind::boolean:
        return node.integer != 0;
      case PickleKind::integer:
        return static_cast<double>(node.integer);
      case PickleKind::real:
        return node.real;
      case PickleKind::text:
        return std::string(node.text);
      case PickleKind::list:
      case PickleKind::tuple:
        return list_of(node.items);
      default:
        return TorchOther{};
    }
  }

  TorchValue list_of(const std::vector<PickleRef>& items) {
    if (items.size() > max_list) return TorchOther{};
    spend(items.size());
    std::vector<double> numbers;
    for (const PickleRef item : items) {
      const PickleNode& node = pickle_[item];
      if (node.kind != PickleKind::integer && node.kind != PickleKind::real) return TorchOther{};
      numbers.push_back(node.kind == PickleKind::real ? node.real : static_cast<double>(node.integer));
    }
    return numbers;
  }

  const Pickle& pickle_;
  const std::string& file_;
  TorchBuilders builders_;
  TorchTensors result_{};
  std::vector<std::string> path_{};
  std::unordered_map<PickleRef, uint8_t> states_{};
  size_t depth_ = 0, work_ = 0;
  size_t scalar_bytes_ = 0, scalar_items_ = 0;
  size_t name_bytes_ = 0;                  ///< of the path, as long as its keys really are
  size_t names_bytes_ = 0, segments_ = 0;  ///< of all tensors
};

}  // namespace

std::string joined(const std::vector<std::string>& path) { return fmt::format("{}", fmt::join(path, ".")); }

TorchTensors find_torch_tensors(const Pickle& pickle, const std::string& file, const TorchSearch& search) {
  return Walk(pickle, file).run(search);
}

}  // namespace sdtorch
