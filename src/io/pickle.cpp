#include "io/pickle.hpp"

#include <fmt/format.h>

#include <bit>
#include <charconv>
#include <unordered_map>
#include <utility>

#include "core/error.hpp"
#include "core/utf8.hpp"
#include "io/pickle_opcodes.hpp"

namespace sdtorch {
namespace {

// A pickle of a few bytes an object must not cost gigabytes. A checkpoint of SDXL with its optimiser's state has
// 300,000 objects.
constexpr size_t max_objects = 2'000'000;
constexpr size_t max_references = 8'000'000;  // in all containers together
constexpr uint8_t highest_protocol = 5;

// A global is named by two texts that may each be referred to over and over: its name is a copy.
constexpr size_t max_global_bytes = 1000;
constexpr size_t max_globals_bytes = size_t{64} << 20;  // all together

constexpr int64_t small_integers = 256;  // these, None, True, False and () are made once

}  // namespace

/// A stack, a memo and the instructions that work on them; none does more than to build nodes.
class PickleMachine {
 public:
  PickleMachine(Pickle& pickle, std::span<const std::byte> bytes, const std::string& file, const std::string& place)
      : pickle_(pickle),
        bytes_(reinterpret_cast<const char*>(bytes.data()), bytes.size()),
        file_(file),
        place_(place),
        shared_integers_(small_integers, PickleNode::nothing) {}

  void run() {
    for (bool running = true; running;) {
      opcode_at_ = at_;
      const auto opcode = static_cast<uint8_t>(take(1)[0]);
      running = opcode != op_stop;
      if (running) execute(opcode);
      if (stack_.size() > max_objects || memo_.size() > max_objects) too_large();
    }
    pickle_.root_ = pop();
    pickle_.length_ = at_;
  }

 private:
  [[noreturn]] void fail(std::string reason) const {
    throw Error(ErrorKind::model,
                {.file = file_,
                 .place = fmt::format("{}{}offset {}", place_, place_.empty() ? "" : ", ", opcode_at_),
                 .reason = std::move(reason)});
  }
  [[noreturn]] void too_large() const {
    fail(fmt::format("the pickle has more than {} objects, no checkpoint has so many", max_objects));
  }

  // Reading

  std::string_view take(uint64_t count) {
    if (count > bytes_.size() - at_) {
      fail(fmt::format("the pickle ends too early: {} bytes were expected, {} are left (is it truncated?)", count,
                       bytes_.size() - at_));
    }
    const std::string_view taken = bytes_.substr(at_, count);
    at_ += count;
    return taken;
  }

  template <size_t N>
  uint64_t take_number() {
    const std::string_view text = take(N);
    uint64_t value = 0;
    for (size_t i = 0; i < N; ++i) value |= uint64_t{static_cast<uint8_t>(text[i])} << (8 * i);
    return value;
  }

  std::string_view take_line() {
    const size_t end = bytes_.find('\n', at_);
    if (end == std::string_view::npos) fail("the pickle ends in the middle of a line (is it truncated?)");
    const std::string_view line = take(end - at_);
    take(1);
    return line;
  }

  template <class Number>
  Number parsed(std::string_view line) const {
    Number value{};
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), value);
    if (error != std::errc() || end != line.data() + line.size())
      fail(fmt::format("{:?} is no number", shortened(line, 100)));
    return value;
  }

  // Making nodes

  PickleRef add(PickleNode node) {
    if (pickle_.nodes_.size() >= max_objects) too_large();
    pickle_.nodes_.push_back(std::move(node));
    return static_cast<PickleRef>(pickle_.nodes_.size() - 1);
  }
  PickleNode& node(PickleRef ref) { return pickle_.nodes_[ref]; }

  PickleRef shared(PickleRef& ref, const PickleNode& node) {
    if (ref == PickleNode::nothing) ref = add(node);
    return ref;
  }
  void push_none() { push(shared(none_, {})); }
  void push_boolean(bool value) {
    push(shared(value ? true_ : false_, {.kind = PickleKind::boolean, .integer = value ? 1 : 0}));
  }
  void push_integer(int64_t value) {
    const PickleNode number{.kind = PickleKind::integer, .integer = value};
    push(value >= 0 && value < small_integers ? shared(shared_integers_[static_cast<size_t>(value)], number)
                                              : add(number));
  }
  void push_text(std::string_view text) { push(add({.kind = PickleKind::text, .text = text})); }
  void push_bytes(std::string_view text) { push(add({.kind = PickleKind::bytes, .text = text})); }
  /// Python 2's strings were either.
  void push_string(std::string_view text) { invalid_utf8_offset(text) ? push_bytes(text) : push_text(text); }
  std::string_view kept(std::string text) { return pickle_.texts_.emplace_back(std::move(text)); }
  void push_global(std::string_view module, std::string_view name) {
    const size_t size = module.size() + 1 + name.size();
    if (size > max_global_bytes) fail(fmt::format("a global's name of {} bytes, no class has such", size));
    globals_bytes_ += size;
    if (globals_bytes_ > max_globals_bytes) fail("the pickle refers to more globals than any checkpoint does");
    push(add({.kind = PickleKind::global, .text = kept(fmt::format("{}.{}", module, name))}));
  }
  void push_container(PickleKind kind, std::vector<PickleRef> items = {}) {
    count(items.size());
    push(add({.kind = kind, .items = std::move(items)}));
  }
  void push_object(PickleRef callee, PickleRef arguments) {
    push(add({.kind = PickleKind::object, .callee = callee, .arguments = arguments}));
  }
  PickleRef tuple(std::vector<PickleRef> items) {
    count(items.size());
    return add({.kind = PickleKind::tuple, .items = std::move(items)});
  }

  /// A signed number of any length, little-endian.
  void push_long(std::string_view bytes) {
    if (bytes.size() > sizeof(int64_t)) {
      push(add({.kind = PickleKind::big_integer, .text = bytes}));
      return;
    }
    uint64_t value = !bytes.empty() && (static_cast<uint8_t>(bytes.back()) & 0x80) != 0 ? ~uint64_t{0} : 0;
    for (size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<uint8_t>(bytes[i]);
    push_integer(static_cast<int64_t>(value));
  }

  void count(size_t references) {
    references_ += references;
    if (references_ > max_references) too_large();
  }

  // The stack

  void push(PickleRef ref) { stack_.push_back(ref); }

  PickleRef top() const {
    const size_t floor = marks_.empty() ? 0 : marks_.back();
    if (stack_.size() <= floor) fail("the pickle takes more from its stack than is there");
    return stack_.back();
  }

  PickleRef pop() {
    const PickleRef ref = top();
    stack_.pop_back();
    return ref;
  }

  std::vector<PickleRef> pop_items(size_t count) {
    std::vector<PickleRef> items(count);
    for (size_t i = count; i-- > 0;) items[i] = pop();
    return items;
  }

  std::vector<PickleRef> pop_to_mark() {
    if (marks_.empty()) fail("the pickle looks for a mark that is not there");
    const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<PickleRef> items(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    marks_.pop_back();
    return items;
  }

  void put(uint64_t key) { memo_[key] = top(); }
  void get(uint64_t key) {
    const auto found = memo_.find(key);
    if (found == memo_.end()) fail(fmt::format("the pickle refers to object {}, which it has not made yet", key));
    push(found->second);
  }

  // Filling containers

  void append(const std::vector<PickleRef>& items) { extend(items, false); }
  void set_items(const std::vector<PickleRef>& items) {
    if (items.size() % 2 != 0) fail("a key without a value");
    extend(items, true);
  }
  void extend(const std::vector<PickleRef>& items, bool pairs) {
    PickleNode& container = node(top());
    const bool is_object = container.kind == PickleKind::object;
    const bool fits = pairs ? container.kind == PickleKind::dict
                            : container.kind == PickleKind::list || container.kind == PickleKind::set;
    if (!fits && !is_object) fail("items are put into what is no container of such");
    if (is_object && !container.items.empty() && container.pairs != pairs) fail("an object is filled as list and dict");
    if (is_object) container.pairs = pairs;
    count(items.size());
    container.items.insert(container.items.end(), items.begin(), items.end());
  }

  void execute(uint8_t opcode);
  void execute_text(uint8_t opcode);
  void execute_call(uint8_t opcode);

  Pickle& pickle_;
  std::string_view bytes_;
  const std::string& file_;
  const std::string& place_;
  size_t at_ = 0, opcode_at_ = 0;
  size_t references_ = 0;
  size_t globals_bytes_ = 0;
  std::vector<PickleRef> stack_{};
  std::vector<size_t> marks_{};
  std::unordered_map<uint64_t, PickleRef> memo_{};
  PickleRef none_ = PickleNode::nothing, true_ = PickleNode::nothing, false_ = PickleNode::nothing;
  PickleRef empty_tuple_ = PickleNode::nothing;
  std::vector<PickleRef> shared_integers_;
};

void PickleMachine::execute(uint8_t opcode) {
  switch (opcode) {
    case op_proto:
      if (const auto protocol = take_number<1>(); protocol > highest_protocol) {
        fail(fmt::format("pickle protocol {} is newer than the {} that are read", protocol, highest_protocol));
      }
      return;
    case op_frame:
      if (const auto size = take_number<8>(); size > bytes_.size() - at_) {
        fail(fmt::format("a frame of {} bytes, {} are left (is it truncated?)", size, bytes_.size() - at_));
      }
      return;
    case op_mark:
      if (marks_.size() >= max_objects) too_large();
      return marks_.push_back(stack_.size());
    case op_pop:
      // A mark right on top is popped like an object.
      if (!marks_.empty() && marks_.back() == stack_.size()) return marks_.pop_back();
      pop();
      return;
    case op_pop_mark:
      pop_to_mark();
      return;
    case op_dup:
      return push(top());

    case op_none:
      return push_none();
    case op_newtrue:
      return push_boolean(true);
    case op_newfalse:
      return push_boolean(false);
    case op_binint:
      return push_integer(static_cast<int32_t>(take_number<4>()));
    case op_binint1:
      return push_integer(static_cast<int64_t>(take_number<1>()));
    case op_binint2:
      return push_integer(static_cast<int64_t>(take_number<2>()));
    case op_long1:
      return push_long(take(take_number<1>()));
    case op_long4: {
      const auto size = static_cast<int32_t>(take_number<4>());
      if (size < 0) fail("a number of negative length");
      return push_long(take(static_cast<uint64_t>(size)));
    }
    case op_binfloat: {
      uint64_t bits = 0;
      for (const char c : take(8)) bits = bits << 8 | static_cast<uint8_t>(c);
      push(add({.kind = PickleKind::real, .real = std::bit_cast<double>(bits)}));
      return;
    }

    case op_short_binunicode:
      return push_text(take(take_number<1>()));
    case op_binunicode:
      return push_text(take(take_number<4>()));
    case op_binunicode8:
      return push_text(take(take_number<8>()));
    case op_short_binbytes:
      return push_bytes(take(take_number<1>()));
    case op_binbytes:
      return push_bytes(take(take_number<4>()));
    case op_binbytes8:
    case op_bytearray8:
      return push_bytes(take(take_number<8>()));
    case op_short_binstring:
      return push_string(take(take_number<1>()));
    case op_binstring:
      return push_string(take(take_number<4>()));

    case op_empty_tuple:
      push(shared(empty_tuple_, {.kind = PickleKind::tuple}));
      return;
    case op_tuple1:
      return push_container(PickleKind::tuple, pop_items(1));
    case op_tuple2:
      return push_container(PickleKind::tuple, pop_items(2));
    case op_tuple3:
      return push_container(PickleKind::tuple, pop_items(3));
    case op_tuple:
      return push_container(PickleKind::tuple, pop_to_mark());
    case op_empty_list:
      return push_container(PickleKind::list);
    case op_list:
      return push_container(PickleKind::list, pop_to_mark());
    case op_empty_set:
      return push_container(PickleKind::set);
    case op_frozenset:
      return push_container(PickleKind::set, pop_to_mark());
    case op_empty_dict:
      return push_container(PickleKind::dict);
    case op_dict: {
      const std::vector<PickleRef> items = pop_to_mark();
      push_container(PickleKind::dict);
      return set_items(items);
    }
    case op_append:
      return append(pop_items(1));
    case op_appends:
    case op_additems:
      return append(pop_to_mark());
    case op_setitem:
      return set_items(pop_items(2));
    case op_setitems:
      return set_items(pop_to_mark());

    case op_binput:
      return put(take_number<1>());
    case op_long_binput:
      return put(take_number<4>());
    case op_memoize:
      return put(memo_.size());
    case op_binget:
      return get(take_number<1>());
    case op_long_binget:
      return get(take_number<4>());

    case op_ext1:
    case op_ext2:
    case op_ext4:
      fail("the pickle refers to Python's registry of extensions, which no file brings along");
    case op_next_buffer:
    case op_readonly_buffer:
      fail("the pickle refers to buffers outside of it, which the file does not have");
    default:
      return execute_text(opcode);
  }
}

/// What protocol 1 wrote as lines, for want of a better way.
void PickleMachine::execute_text(uint8_t opcode) {
  switch (opcode) {
    case op_int: {
      const std::string_view line = take_line();
      if (line == "00" || line == "01") return push_boolean(line == "01");
      return push_integer(parsed<int64_t>(line));
    }
    case op_long: {
      std::string_view line = take_line();
      if (line.ends_with('L')) line.remove_suffix(1);
      return push_integer(parsed<int64_t>(line));
    }
    default:
      return execute_call(opcode);
  }
}

/// What would import or call: noted, not done.
void PickleMachine::execute_call(uint8_t opcode) {
  switch (opcode) {
    case op_global: {
      const std::string_view module = take_line();
      return push_global(module, take_line());
    }
    case op_stack_global: {
      const PickleNode& name = node(pop());
      const PickleNode& module = node(pop());
      if (name.kind != PickleKind::text || module.kind != PickleKind::text) fail("a global without a name");
      return push_global(module.text, name.text);
    }
    case op_reduce:
    case op_newobj: {
      const PickleRef arguments = pop();
      return push_object(pop(), arguments);
    }
    case op_newobj_ex: {
      pop();  // keyword arguments
      const PickleRef arguments = pop();
      return push_object(pop(), arguments);
    }
    case op_obj: {
      std::vector<PickleRef> items = pop_to_mark();
      if (items.empty()) fail("an object without a class");
      const PickleRef callee = items.front();
      items.erase(items.begin());
      return push_object(callee, tuple(std::move(items)));
    }
    case op_build: {
      const PickleRef state = pop();
      node(top()).state = state;
      return;
    }
    case op_binpersid: {
      const PickleRef id = pop();
      push(add({.kind = PickleKind::persistent, .arguments = id}));
      return;
    }
    default:
      fail(fmt::format("0x{:02x} is no instruction of a pickle", opcode));
  }
}

Pickle::Pickle(std::span<const std::byte> bytes, const std::string& file, const std::string& place) {
  PickleMachine(*this, bytes, file, place).run();
}

}  // namespace sdtorch
