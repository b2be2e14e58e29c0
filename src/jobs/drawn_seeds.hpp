// Seeds that a run's prompt file leaves to chance (-1), which a resumed run draws again as they were.
#pragma once

#include <set>
#include <string>

#include "jobs/run_options.hpp"

namespace sdtorch {

/// The seeds that were drawn are not those of the run that is to be gone on with, which is another run of the prompt
/// file's, or has begun since: to be begun anew.
struct SeedsOutOfDate {};

/// Before the prompt file is read: from here on draw_seed deals what the run that a resumed one goes on with was dealt,
/// or begins a sequence of its own, the shards of a run one and the same, by what the prompt file holds. Of several
/// runs of the prompt file the last that lacks a picture comes first. What the command line
/// left to chance (RunOptions::drawn) becomes that run's, too. tried: the seeds that were not the right ones, to which
/// these are put. Throws as read_journal.
void begin_drawn_seeds(RunOptions& options, std::set<std::string>& tried);

}  // namespace sdtorch
