#include "core/instructions.hpp"

#include <ATen/cpu/Utils.h>

#include <algorithm>
#include <initializer_list>

namespace sdtorch {
namespace {

/// Whether LibTorch finds all of these in the CPU, and the system lets them be used.
bool has(std::initializer_list<const char*> names) {
  static const auto capabilities = at::cpu::get_cpu_capabilities();
  return std::ranges::all_of(names, [](const char* name) {
    const auto found = capabilities.find(name);
    return found != capabilities.end() && found->second.isBool() && found->second.toBool();
  });
}

}  // namespace

bool has_avx512() {
  static const bool has_it = has({"avx512_f", "avx512_bw", "avx512_dq", "avx512_vl"});
  return has_it;
}

bool has_avx512_bf16() {
  static const bool has_it = has_avx512() && has({"avx512_bf16"});
  return has_it;
}

bool has_avx512_vnni() {
  static const bool has_it = has_avx512() && has({"avx512_vnni"});
  return has_it;
}

bool has_amx_bf16() {
  static const bool has_it = has_avx512_bf16() && has({"amx_tile", "amx_bf16"}) && at::cpu::init_amx();
  return has_it;
}

}  // namespace sdtorch
