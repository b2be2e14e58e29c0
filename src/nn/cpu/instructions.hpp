// What this CPU can do, beyond what everything is compiled for.
#pragma once

namespace sdtorch::cpu {

/// Dot products of bf16 in vectors of 16 lanes, into fp32 (VDPBF16PS), with all of AVX-512 that comes with them.
bool has_avx512_bf16();

/// Matrix products of bf16 in tiles (TDPBF16PS), which Linux must be asked for once: this does it.
bool has_amx_bf16();

}  // namespace sdtorch::cpu
