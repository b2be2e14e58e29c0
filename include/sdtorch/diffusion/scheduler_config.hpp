// The keys of scheduler_config.json that decide a noise schedule and a trajectory.
#pragma once

namespace sdtorch {
struct SchedulerConfig {};
}
