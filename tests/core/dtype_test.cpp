// The one table of element types.
#include "core/dtype.hpp"

#include <set>

#include "support/catch.hpp"

using sdtorch::Dtype;
using sdtorch::dtypes;
using sdtorch::find_dtype;

TEST_CASE("each name of an element type finds it alone", "[core]") {
  for (const auto column : {&Dtype::torch, &Dtype::short_name, &Dtype::safetensors, &Dtype::storage}) {
    std::set<std::string_view> names;
    for (const Dtype& type : dtypes()) {
      INFO(type.torch);
      CHECK(find_dtype(type.type) == &type);
      const std::string_view name = type.*column;
      if (name.empty()) continue;
      CHECK(names.insert(name).second);
      CHECK(find_dtype(column, name) == &type);
    }
    CHECK_FALSE(find_dtype(column, ""));
    CHECK_FALSE(find_dtype(column, "Float"));
  }
}

TEST_CASE("the types of computing go by their flags' names", "[core]") {
  CHECK(sdtorch::find_compute_dtype("fp32") == at::kFloat);
  CHECK(sdtorch::find_compute_dtype("fp16") == at::kHalf);
  CHECK(sdtorch::find_compute_dtype("bf16") == at::kBFloat16);
  for (const char* name : {"", "auto", "fp64", "int8", "F16", "float16"})
    CHECK_FALSE(sdtorch::find_compute_dtype(name));
  CHECK(sdtorch::dtype_name(at::kBFloat16) == "bf16");
  CHECK(sdtorch::dtype_name(at::kComplexFloat) == "ComplexFloat");
  CHECK(find_dtype(&Dtype::torch, "quint4x2")->bytes() == 1);
  CHECK(find_dtype(&Dtype::torch, "float4_e2m1fn_x2")->bytes() == 1);
  CHECK(find_dtype(&Dtype::torch, "complex128")->bytes() == 16);
}
