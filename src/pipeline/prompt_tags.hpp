// The tags of a request's prompts, which come out of them before anything else reads them.
#pragma once

#include <string>
#include <vector>

#include "sdtorch/request.hpp"
#include "text/extra_networks.hpp"

namespace sdtorch {

/// Those of the prompt, in its order. None where the prompt's syntax takes them as text (`plain`).
std::vector<ExtraNetworkTag> tags_of(const Request& request);

/// The same request, its prompts without tags.
Request without_tags(Request request);

/// What of the tags has no effect, each a line for the log: kinds that nobody knows, and tags of the negative prompt.
std::vector<std::string> warnings_of_tags(const Request& request);

/// Whether two requests' tags put the same on a model.
bool same_tags(const Request& a, const Request& b);

}  // namespace sdtorch
