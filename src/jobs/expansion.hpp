// What --sweep and --wildcards make of one request: jobs.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "jobs/job.hpp"
#include "jobs/sweep.hpp"
#include "jobs/wildcards.hpp"

namespace sdtorch {

/// The most jobs that a run may hold in memory, and the most pictures.
inline constexpr size_t most_jobs = 1'000'000;
inline constexpr int64_t most_pictures = 10'000'000;

/// Thrown for more of them.
class TooManyJobs : public Error {
 public:
  using Error::Error;
};

struct Expansion {
  Sweep sweep{};
  std::shared_ptr<Wildcards> wildcards{};  ///< none: `__name__` is text
};

/// A job for each of the sweep's variants, in its order; of one whose prompts hold wildcards, a job for each picture,
/// with its own lines in their place: those of seed + i for picture i. settings: validated for each. source, places:
/// see Job. room: how many jobs may be made. Throws ErrorKind::usage naming the flag at fault, what a wildcard's file
/// is refused for (Wildcards::expand), and TooManyJobs.
std::vector<Job> jobs_of(const Settings& settings, const Expansion& expansion, const std::string& source = {},
                         const std::vector<ValuePlace>& places = {}, size_t room = most_jobs);

/// Throws TooManyJobs for more pictures than most_pictures.
void check_pictures(const std::vector<Job>& jobs);

/// Settings that are the defaults of others: throws as validate(), but not for what goes with a picture to start from,
/// which those may name.
void check_defaults(const Settings& settings);

}  // namespace sdtorch
