// How a run goes: where its pictures go, and what becomes of what fails or was begun before.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "jobs/expansion.hpp"
#include "jobs/output_options.hpp"
#include "jobs/prompt_faults.hpp"
#include "jobs/shard.hpp"
#include "pipeline/settings.hpp"

namespace sdtorch {

/// Which of the command line's own seeds are -1.
struct DrawnSeeds {
  bool seed = false, variation_seed = false;
};

struct RunOptions {
  OutputOptions output{};
  std::string prompt_file{};  ///< that the jobs came from, in whose folder a journal is kept; empty: no journal
  std::vector<LineFault>
      faults{};             ///< what is wrong with lines of it that became no jobs: if there are any, nothing is drawn
  Expansion expansion{};    ///< that made the jobs of it
  Settings defaults{};      ///< what every job began with: for what a journal tells of a change
  bool resume = false;      ///< draw what the journal lacks
  bool wait = false;        ///< for a folder in which another run works, instead of leaving it
  bool keep_going = false;  ///< a picture that cannot be drawn is told and left out
  std::optional<Shard> shard{};       ///< draw these alone; implies `resume`
  DrawnSeeds drawn{};                 ///< of `defaults`
  bool may_have_other_seeds = false;  ///< other drawn seeds may be the right ones: run_jobs may throw SeedsOutOfDate
  /// More than one: a worker each draws pictures as it becomes free (devices.hpp). One or none: the jobs say it.
  std::vector<std::string> devices{};
};

}  // namespace sdtorch
