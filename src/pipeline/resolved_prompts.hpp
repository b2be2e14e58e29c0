// A request's prompts, read, and held against the model.
#pragma once

#include <string>
#include <vector>

#include "pipeline/model_description.hpp"
#include "pipeline/prompt_rules.hpp"
#include "sdtorch/request.hpp"
#include "text/prompt/prompt.hpp"

namespace sdtorch {

struct ResolvedPrompts {
  PromptRules rules{};
  PromptReading prompt{}, negative{};  ///< the negative one has one part

  /// Whether the prompt is more than one text of weight 1 at each call: what it says is then a sum with the negative
  /// prompt.
  bool composed() const;
};

/// All texts that are encoded for a prompt, or for either, whatever weighs them and whenever they hold.
std::vector<std::string> texts_of(const PromptReading& prompt);
std::vector<std::string> texts_of(const ResolvedPrompts& prompts);

/// Whether the model is made for what its text encoders say before their last layer: SDXL and SD2 are.
bool takes_penultimate_layer(const ModelDescription& model);

/// Puts the styles that a request names into its prompts, and leaves their names out: the prompts then say all.
/// Throws ErrorKind::usage naming --style for one that is not in the table, ErrorKind::input for the table.
void take_styles(Request& request);

/// Reads both prompts. calls: what their schedules count. Throws ErrorKind::input naming flag and column,
/// ErrorKind::usage naming the flag of what does not go with them or with the model.
ResolvedPrompts resolve_prompts(const ModelDescription& model, const Request& request, const PromptCalls& calls,
                                std::vector<std::string>& warnings);

}  // namespace sdtorch
