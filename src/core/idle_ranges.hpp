// Which addresses of mapped memory nothing lies in.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <utility>

namespace sdtorch {

inline constexpr size_t huge_page = size_t{2} << 20;  ///< x86-64's and AArch64's, in bytes

/// The next multiple.
size_t rounded_up(size_t n, size_t multiple);
std::byte* rounded_up(std::byte* place, size_t multiple);

/// Ranges of mapped memory that lie idle, whose neighbours are one. What is given back goes to the system by munmap, so
/// every range must have been mapped, at multiples of a page.
class IdleRanges {
 public:
  /// The sum of all.
  size_t bytes() const { return bytes_; }

  /// Joined with the ranges that it touches. bytes: not 0.
  void add(std::byte* begin, size_t bytes);

  /// From the beginning of the smallest that holds so much; nullptr: none does.
  std::byte* take(size_t bytes);

  /// All of them, back to the system.
  void release();

  /// The whole huge pages of the largest go back to the system, until no more than so many bytes are idle or the
  /// largest has none. Smaller pages stay: a huge page that lost a part is slower than the part is worth.
  void release_huge_pages(size_t most);

 private:
  using ByPlace = std::map<std::byte*, size_t>;

  void insert(std::byte* begin, size_t bytes);
  ByPlace::iterator erase(ByPlace::iterator range);

  ByPlace by_place_{};
  std::set<std::pair<size_t, std::byte*>> by_size_{};
  size_t bytes_ = 0;
};

}  // namespace sdtorch
