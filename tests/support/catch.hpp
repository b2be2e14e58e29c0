// Catch2 under either of the versions that distributions ship.
#pragma once

#if SDTORCH_CATCH_VERSION >= 3
#include <catch2/catch_all.hpp>
using Catch::Approx;
#else
#include <catch2/catch.hpp>
#endif
