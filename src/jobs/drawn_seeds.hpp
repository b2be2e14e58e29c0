// Seeds that a run's prompt file leaves to chance (-1), which a resumed run draws again as they were.
#pragma once

#include <set>
#include <string>

#include "jobs/run_options.hpp"

namespace sdtorch {

/// The seeds that were drawn are not those of the run that is to be gone on with, which is another run of the prompt
/// file's, or has begun since: to be begun anew.
struct SeedsOutOfDate {};

/// Which of the command line's own seeds are -1.
struct DrawnSeeds {
  bool seed = false, variation_seed = false;
};

/// Before the prompt file is read: from here on draw_seed deals what the run that a resumed one goes on with was dealt,
/// or begins a sequence of its own, the shards of a run one and the same, by what the prompt file holds. Of several
/// runs of the prompt file the last that lacks a picture comes first. drawn: the command line's own seeds that become
/// that run's. tried: the seeds that were not the right ones, to which these are put. Throws as read_journal.
void begin_drawn_seeds(RunOptions& options, const DrawnSeeds& drawn, std::set<std::string>& tried);

}  // namespace sdtorch
