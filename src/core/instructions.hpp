// What this CPU can do, beyond what everything is compiled for.
#pragma once

namespace sdtorch {

/// Vectors of 16 lanes: AVX-512's F, BW, DQ and VL.
bool has_avx512();

/// Dot products of bf16 in such vectors, into fp32 (VDPBF16PS). Every CPU with AMX has them too.
bool has_avx512_bf16();

/// Those of 8-bit integers, into 32 bits (VPDPBUSD). Every CPU with AMX has them too.
bool has_avx512_vnni();

/// Matrix products of bf16 in tiles (TDPBF16PS), which Linux must be asked for once: this does it.
bool has_amx_bf16();

}  // namespace sdtorch
