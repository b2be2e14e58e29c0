// Seeds that a run's prompt file leaves to chance (-1), which a resumed run draws again as they were.
#pragma once

#include "jobs/run_options.hpp"

namespace sdtorch {

/// Another run has begun in a folder since this one drew its seeds, which are not that run's: to be begun anew.
struct SeedsOutOfDate {};

/// Before the prompt file is read: from here on draw_seed deals what the run that a resumed one goes on with was dealt,
/// or begins a sequence of its own, the shards of a run one and the same, by what the prompt file holds. seed_drawn:
/// the command line's seed was drawn, too, and becomes that run's. Throws as read_journal.
void begin_drawn_seeds(RunOptions& options, bool seed_drawn);

}  // namespace sdtorch
