#include "core/dtype.hpp"

#include <algorithm>
#include <iterator>

namespace sdtorch {
namespace {

constexpr Dtype table[] = {
    {at::kFloat, "float32", "fp32", "F32", "FloatStorage"},
    {at::kHalf, "float16", "fp16", "F16", "HalfStorage"},
    {at::kBFloat16, "bfloat16", "bf16", "BF16", "BFloat16Storage"},
    {at::kDouble, "float64", "fp64", "F64", "DoubleStorage"},
    {at::kFloat8_e4m3fn, "float8_e4m3fn", "fp8 (e4m3)", "F8_E4M3"},
    {at::kFloat8_e5m2, "float8_e5m2", "fp8 (e5m2)", "F8_E5M2"},
    {at::kFloat8_e4m3fnuz, "float8_e4m3fnuz", "", "F8_E4M3FNUZ"},
    {at::kFloat8_e5m2fnuz, "float8_e5m2fnuz", "", "F8_E5M2FNUZ"},
    {at::kFloat8_e8m0fnu, "float8_e8m0fnu", "", "F8_E8M0"},
    {at::kFloat4_e2m1fn_x2, "float4_e2m1fn_x2"},
    {at::kComplexHalf, "complex32"},
    {at::kComplexFloat, "complex64", "", "C64", "ComplexFloatStorage"},
    {at::kComplexDouble, "complex128", "", "", "ComplexDoubleStorage"},
    {at::kLong, "int64", "int64", "I64", "LongStorage"},
    {at::kInt, "int32", "int32", "I32", "IntStorage"},
    {at::kShort, "int16", "int16", "I16", "ShortStorage"},
    {at::kChar, "int8", "int8", "I8", "CharStorage"},
    {at::kUInt64, "uint64", "", "U64"},
    {at::kUInt32, "uint32", "", "U32"},
    {at::kUInt16, "uint16", "", "U16"},
    {at::kByte, "uint8", "uint8", "U8", "ByteStorage"},
    {at::kBool, "bool", "bool", "BOOL", "BoolStorage"},
    {at::kQUInt8, "quint8", "", "", "QUInt8Storage"},
    {at::kQInt8, "qint8", "", "", "QInt8Storage"},
    {at::kQInt32, "qint32", "", "", "QInt32Storage"},
    {at::kQUInt4x2, "quint4x2", "", "", "QUInt4x2Storage"},
    {at::kQUInt2x4, "quint2x4", "", "", "QUInt2x4Storage"},
};

template <class Column, class Value>
const Dtype* find(Column Dtype::*column, const Value& wanted) {
  const auto* found = std::ranges::find(table, wanted, column);
  return found == std::end(table) ? nullptr : found;
}

}  // namespace

std::span<const Dtype> dtypes() { return table; }

const Dtype* find_dtype(at::ScalarType type) { return find(&Dtype::type, type); }

const Dtype* find_dtype(std::string_view Dtype::*column, std::string_view name) {
  return name.empty() ? nullptr : find(column, name);
}

std::optional<at::ScalarType> find_compute_dtype(std::string_view name) {
  const Dtype* found = find_dtype(&Dtype::short_name, name);
  const bool computes =
      found && (found->type == at::kFloat || found->type == at::kHalf || found->type == at::kBFloat16);
  return computes ? std::optional(found->type) : std::nullopt;
}

std::string dtype_name(at::ScalarType type) {
  const Dtype* found = find_dtype(type);
  return found && !found->short_name.empty() ? std::string(found->short_name) : c10::toString(type);
}

}  // namespace sdtorch
