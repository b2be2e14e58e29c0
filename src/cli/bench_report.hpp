// What `sdtorch bench` prints.
#pragma once

#include <string>
#include <string_view>

#include "jobs/bench.hpp"

namespace sdtorch {

/// A table of the stages, or with json one object of BenchResult's fields on a line; ended by a line break.
std::string bench_text(const BenchResult& result, bool json);

/// A part that run_bench told of, as one object on a line.
std::string bench_part_line(std::string_view part, double seconds);

}  // namespace sdtorch
