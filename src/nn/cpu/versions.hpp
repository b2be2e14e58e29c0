// Plain loops, compiled for several generations of CPUs; the program takes the best at its start.
#pragma once

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__)
/// Before a function whose loops the compiler turns into vectors by itself.
#define SDTORCH_CPU_VERSIONS __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#define SDTORCH_INLINE inline __attribute__((always_inline))
#else
#define SDTORCH_CPU_VERSIONS
#define SDTORCH_INLINE inline
#endif
