// The flags of `sdtorch convert`, `merge`, `init-model` and `inspect`.
#pragma once

#include "cli/flags.hpp"
#include "cli/inspect.hpp"
#include "jobs/convert.hpp"
#include "jobs/merge.hpp"
#include "recipes/init_model.hpp"

namespace sdtorch {

/// The flags write into the options, which must live as long. general: what every command has.
CommandSpec convert_spec(ConvertOptions& options, FlagGroup general);
CommandSpec merge_spec(MergeOptions& options, FlagGroup general);
CommandSpec init_model_spec(InitModelOptions& options, FlagGroup general);
CommandSpec inspect_spec(InspectOptions& options, FlagGroup general);

/// What is missing after the flags are read. Throws ErrorKind::usage.
void check_convert(const ConvertOptions& options);
void check_merge(const MergeOptions& options);

}  // namespace sdtorch
