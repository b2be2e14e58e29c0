#include "text/wire_format.hpp"

#include <fmt/format.h>

#include <bit>

#include "core/error.hpp"

namespace sdtorch {
namespace {

// The low three bits of a field's tag.
constexpr uint32_t varint_type = 0, fixed64_type = 1, bytes_type = 2, fixed32_type = 5;
constexpr uint32_t largest_field_number = (1u << 29) - 1;

uint64_t wire_number(std::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes.size(); ++i) value |= uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  return value;
}

}  // namespace

void WireReader::fail(const std::string& reason) const {
  throw Error(ErrorKind::model,
              {.file = file_,
               .place = fmt::format("offset {}", position()),
               .reason = reason,
               .hint = "a sentencepiece model was expected; a cut or damaged download must be fetched again"});
}

uint64_t WireReader::varint() {
  constexpr unsigned bits = 64, bits_a_byte = 7;
  uint64_t value = 0;
  for (unsigned shift = 0; shift < bits; shift += bits_a_byte) {
    if (rest_.empty()) fail("the file ends within a number");
    const auto byte = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    value |= uint64_t{byte & 0x7fu} << shift;
    if ((byte & 0x80u) == 0) return value;
  }
  fail("a number of more than 64 bits");
}

std::string_view WireReader::take(uint64_t count) {
  if (count > rest_.size()) {
    fail(fmt::format("a field of {} bytes where {} are left", count, rest_.size()));
  }
  const std::string_view taken = rest_.substr(0, static_cast<size_t>(count));
  rest_.remove_prefix(taken.size());
  return taken;
}

std::optional<WireField> WireReader::next() {
  if (rest_.empty()) return std::nullopt;
  const uint64_t tag = varint();
  if (tag >> 3 == 0 || tag >> 3 > largest_field_number) fail("no field has such a number");
  WireField field{.number = static_cast<uint32_t>(tag >> 3)};
  switch (tag & 7u) {
    case varint_type:
      field.value = varint();
      return field;
    case fixed64_type:
      field.kind = WireField::Kind::fixed64;
      field.value = wire_number(take(sizeof(uint64_t)));
      return field;
    case bytes_type:
      field.kind = WireField::Kind::bytes;
      field.bytes = take(varint());
      return field;
    case fixed32_type:
      field.kind = WireField::Kind::fixed32;
      field.value = wire_number(take(sizeof(uint32_t)));
      return field;
    default:
      fail(fmt::format("a field of the unknown type {}", tag & 7u));
  }
}

WireReader WireReader::message(const WireField& field) const {
  return WireReader(field.bytes, file_, position() - field.bytes.size());
}

void WireWriter::varint(uint64_t value) {
  for (; value >= 0x80u; value >>= 7) message_ += static_cast<char>((value & 0x7fu) | 0x80u);
  message_ += static_cast<char>(value);
}

void WireWriter::number(uint32_t field, uint64_t value) {
  varint(uint64_t{field} << 3 | varint_type);
  varint(value);
}

void WireWriter::fixed32(uint32_t field, float value) {
  varint(uint64_t{field} << 3 | fixed32_type);
  const auto bits = std::bit_cast<uint32_t>(value);
  for (unsigned shift = 0; shift < 32; shift += 8) message_ += static_cast<char>(bits >> shift & 0xffu);
}

void WireWriter::bytes(uint32_t field, std::string_view value) {
  varint(uint64_t{field} << 3 | bytes_type);
  varint(value.size());
  message_ += value;
}

}  // namespace sdtorch
