// What `sdtorch bench` prints.
#pragma once

#include <string>

#include "jobs/bench.hpp"

namespace sdtorch {

/// A table of the stages, or with json one object of BenchResult's fields on a line; ended by a line break.
std::string bench_text(const BenchResult& result, bool json);

}  // namespace sdtorch
