// Catch2 under either of the versions that distributions ship.
#pragma once

#include <c10/util/Logging.h>
#undef CHECK  // LibTorch's own, which Catch2's takes the place of

#if SDTORCH_CATCH_VERSION >= 3
#include <catch2/catch_all.hpp>
using Catch::Approx;
#else
#include <catch2/catch.hpp>
#endif
