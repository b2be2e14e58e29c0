// Python's pickle format (https://github.com/python/cpython/blob/3.12/Lib/pickletools.py), protocols 1 to 5, as inert
// data: nothing is imported and nothing is called. What a pickle would call stands in the tree as a note of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sdtorch {

/// The number of a node. Nodes may be referred to from several places, and from within themselves.
using PickleRef = uint32_t;

enum class PickleKind : uint8_t {
  none,
  boolean,      ///< integer: 0 or 1
  integer,      ///< integer
  big_integer,  ///< text: two's complement, little-endian, more than 8 bytes
  real,         ///< real
  text,         ///< text
  bytes,        ///< text
  tuple,        ///< items
  list,         ///< items
  set,          ///< items
  dict,         ///< items: key, value, key, value, …; as in Python, the last of equal keys counts
  global,       ///< text: `module.name`
  object,       ///< what calling `callee` with `arguments` would have made; state and items as given to it since
  persistent    ///< arguments: the persistent id
};

struct PickleNode {
  static constexpr PickleRef nothing = 0xffffffff;

  PickleKind kind = PickleKind::none;
  bool pairs = false;  ///< of an object: whether its items are keys and values
  PickleRef callee = nothing, arguments = nothing;
  PickleRef state = nothing;  ///< what BUILD has given
  int64_t integer = 0;
  double real = 0;
  std::string_view text{};
  std::vector<PickleRef> items{};
};

/// One pickle. Its texts lie partly in the bytes that it was read from, which have to outlive it.
class Pickle {
 public:
  /// Reads one pickle from the beginning of `bytes`; more may follow it. file and place name it in messages.
  /// Throws ErrorKind::model where it ends early, is malformed, uses more than 2 million objects or names a global by
  /// more than 1000 bytes.
  Pickle(std::span<const std::byte> bytes, const std::string& file, const std::string& place);

  const PickleNode& operator[](PickleRef ref) const { return nodes_[ref]; }
  PickleRef root() const { return root_; }

  /// Nodes are numbered from 0 on; some may not be reached from the root.
  PickleRef size() const { return static_cast<PickleRef>(nodes_.size()); }

  /// Bytes that the pickle takes up.
  size_t length() const { return length_; }

 private:
  friend class PickleMachine;
  std::vector<PickleNode> nodes_{};
  std::deque<std::string> texts_{};  ///< those that do not stand in the bytes as they are
  PickleRef root_ = 0;
  size_t length_ = 0;
};

}  // namespace sdtorch
