// The tags of a request's prompts, which come out of them before anything else reads them.
#pragma once

#include <string>
#include <vector>

#include "adapters/step_weights.hpp"
#include "sdtorch/request.hpp"
#include "text/extra_networks.hpp"
#include "text/prompt/prompt.hpp"

namespace sdtorch {

/// Those of the prompt, in its order. None where the prompt's syntax takes them as text (`plain`).
std::vector<ExtraNetworkTag> tags_of(const Request& request);

/// How strongly what a tag names acts; a hypernetwork has one weight, which both are.
struct TagWeights {
  StepWeights unet{}, text_encoder{};
  std::string unet_text = "1", text_encoder_text = "1";  ///< as they are written
};

/// A LoRA's tag has one number for both networks, or the text encoder's and then the U-Net's, or `te=` and `unet=`, as
/// in A1111; a hypernetwork's one that never changes. tag: of a kind that means something.
/// Throws ErrorKind::usage naming the tag.
TagWeights weights_of_tag(const ExtraNetworkTag& tag);

/// One weight. asked_by: for messages. Throws ErrorKind::usage naming it.
StepWeights parse_step_weights(const std::string& asked_by, const std::string& text);

/// Of a tag, for messages: "--prompt: <lora:style:1>".
std::string asked_by_tag(const ExtraNetworkTag& tag);

bool is_lora_tag(const ExtraNetworkTag& tag);
bool is_hypernetwork_tag(const ExtraNetworkTag& tag);

/// The same request, its prompts without tags.
Request without_tags(Request request);

/// What without_tags took out of a prompt. written: the prompt; left: what is left of it.
std::vector<PromptCut> cuts_of(const std::string& written, const std::string& left);

/// What of the tags has no effect, each a line for the log: kinds that nobody knows, and tags of the negative prompt.
std::vector<std::string> warnings_of_tags(const Request& request);

/// Whether two requests' tags put the same on a model.
bool same_tags(const Request& a, const Request& b);

}  // namespace sdtorch
