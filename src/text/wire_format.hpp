// Protocol buffers' wire format, as far as sentencepiece's models need it: fields of numbers and of bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sdtorch {

/// One field of a message: its number, and what stands there.
struct WireField {
  enum class Kind { varint, fixed64, bytes, fixed32 };

  uint32_t number = 0;
  Kind kind = Kind::varint;
  uint64_t value = 0;        ///< of a varint, fixed64 or fixed32
  std::string_view bytes{};  ///< of bytes: text or a message of its own; points into the message
};

/// Reads a message field by field.
class WireReader {
 public:
  /// message: kept by the caller. offset: where it stands in `file`, for messages.
  WireReader(std::string_view message, std::string file, size_t offset = 0)
      : start_(message), rest_(message), file_(std::move(file)), offset_(offset) {}

  /// The next field; none at the end. Throws ErrorKind::model with file and offset where the message is damaged.
  std::optional<WireField> next();

  /// A reader of the message that the field, which next() gave last, holds.
  WireReader message(const WireField& field) const;

  [[noreturn]] void fail(const std::string& reason) const;

 private:
  size_t position() const { return offset_ + (start_.size() - rest_.size()); }
  uint64_t varint();
  std::string_view take(uint64_t count);

  std::string_view start_, rest_;
  std::string file_;
  size_t offset_;
};

/// Writes a message.
class WireWriter {
 public:
  void number(uint32_t field, uint64_t value);
  void fixed32(uint32_t field, float value);
  void bytes(uint32_t field, std::string_view value);

  const std::string& message() const { return message_; }

 private:
  void varint(uint64_t value);

  std::string message_;
};

}  // namespace sdtorch
