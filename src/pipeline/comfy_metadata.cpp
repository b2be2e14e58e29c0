// ComfyUI's workflows, as far as they draw a picture from a text.
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <vector>

#include "diffusion/sampler.hpp"
#include "pipeline/comfy_graph.hpp"
#include "pipeline/foreign_metadata.hpp"

namespace sdtorch {
namespace {

using nlohmann::json;

bool is_sampler(const ComfyNode& node) { return node.type == "KSampler" || node.type == "KSamplerAdvanced"; }
bool is_saved(const ComfyNode& node) { return node.type.starts_with("SaveImage"); }
bool is_shown(const ComfyNode& node) { return node.type == "PreviewImage"; }

std::string shown(const ComfyNode& node) { return fmt::format("node {} ({})", node.id, node.type); }

class ComfyReader {
 public:
  ComfyReader(const ComfyGraph& graph, ForeignRequest& request) : graph_(graph), request_(request) {}

  void read() {
    const ComfyNode& sampler = first_sampler();
    request_.settings.compat = "comfy";
    read_sampler(sampler);
    read_latent(sampler);
    read_prompt(sampler, "positive");
    read_prompt(sampler, "negative");
    read_model(sampler);
    read_decoder(sampler);
  }

 private:
  void warn(const ComfyNode& node, const std::string& what) const { request_.warn(shown(node), what); }

  /// An input's value; null, and told, where it comes from nodes that are not read.
  const json& value(const ComfyNode& node, const std::string& input) const {
    const json& value = graph_.value(node, input);
    const auto given = node.inputs.find(input);
    if (value.is_null() && given != node.inputs.end() && !given->is_null()) {
      warn(node, fmt::format("its {} comes from nodes that are not read, and is left out", input));
    }
    return value;
  }

  double number(const ComfyNode& node, const std::string& input, double otherwise) const {
    const json& number = value(node, input);
    return number.is_number() ? number.get<double>() : otherwise;
  }

  std::string text(const ComfyNode& node, const std::string& input) const {
    const json& text = value(node, input);
    return text.is_string() ? text.get<std::string>() : std::string();
  }

  void take(std::string_view setting, const ComfyNode& node, const std::string& input) const {
    request_.take(setting, shown(node) + ": " + input, value(node, input));
  }

  /// The sampler that began what was saved, or else what was shown.
  const ComfyNode& first_sampler() const {
    for (const auto is_output : {is_saved, is_shown}) {
      std::set<const ComfyNode*> firsts;
      const ComfyNode* found = nullptr;
      for (const auto& [id, node] : graph_.nodes()) {
        const ComfyNode* sampler = is_output(node) ? nearest_sampler(node) : nullptr;
        if (!sampler) continue;
        if (!found) found = sampler;
        firsts.insert(samplers_before(*sampler).back());
      }
      if (!found) continue;
      if (firsts.size() > 1) {
        const std::string count = fmt::format("{} pictures were drawn, and which this is is not said", firsts.size());
        warn(*found, count + ": this one's is taken");
      }
      return started_from(*found);
    }
    for (const auto& [id, node] : graph_.nodes()) {
      if (is_sampler(node)) return started_from(node);
    }
    const std::string reason = "the picture carries a ComfyUI workflow, which is no list of parameters";
    request_.fail_at("", reason + ", and there is no KSampler in it", "give its values as flags");
  }

  /// From a sampler back to the one that started from an empty latent.
  const ComfyNode& started_from(const ComfyNode& sampler) const {
    const std::vector<const ComfyNode*> way = samplers_before(sampler);
    for (size_t i = 0; i + 1 < way.size(); ++i) {
      warn(*way[i], "a second pass, which is left out; --hires-scale draws one");
    }
    return *way.back();
  }

  /// A sampler, the one whose latent it went on from, and so on.
  std::vector<const ComfyNode*> samplers_before(const ComfyNode& sampler) const {
    std::vector<const ComfyNode*> way{&sampler};
    for (;;) {
      const ComfyNode* latent = graph_.behind(*way.back(), "latent_image");
      const ComfyNode* earlier = !latent ? nullptr : is_sampler(*latent) ? latent : nearest_sampler(*latent);
      if (!earlier || std::ranges::find(way, earlier) != way.end()) return way;
      way.push_back(earlier);
    }
  }

  const ComfyNode* nearest_sampler(const ComfyNode& node) const {
    for (const ComfyNode* one : graph_.upstream(node)) {
      if (is_sampler(*one)) return one;
    }
    return nullptr;
  }

  void read_sampler(const ComfyNode& node) const {
    Settings& settings = request_.settings;
    take("seed", node, node.type == "KSampler" ? "seed" : "noise_seed");
    take("steps", node, "steps");
    take("cfg-scale", node, "cfg");
    const std::string sampler = text(node, "sampler_name"), schedule = text(node, "scheduler");
    if (!sampler.empty()) request_.take_sampler(sampler);
    if (!schedule.empty()) request_.take_schedule(schedule);
    if (sampler == "ddim") settings.sampler = "euler";  // which it is there, on the schedule's levels
    const Sampler* known = settings.sampler ? find_sampler(*settings.sampler) : nullptr;
    if (known && !known->has_schedules) settings.scheduler = "model";
    if (sampler.ends_with("_gpu")) settings.sampler_rng = "cuda";
    if (sampler.ends_with("_ancestral") || sampler == "lcm" || sampler == "ddpm") {
      warn(node, "ComfyUI draws what this sampler adds on its own device; --sampler-rng cuda if that was a GPU");
    }
    if (node.type == "KSamplerAdvanced") {
      if (text(node, "add_noise") == "disable") warn(node, "no noise was added to its latent, left out");
      if (number(node, "start_at_step", 0) > 0) warn(node, "start_at_step is left out");
      if (number(node, "end_at_step", 10000) < static_cast<double>(settings.steps))
        warn(node, "end_at_step is left out");
    }
  }

  void read_latent(const ComfyNode& sampler) const {
    Settings& settings = request_.settings;
    const ComfyNode* latent = graph_.behind(sampler, "latent_image");
    const double denoise = number(sampler, "denoise", 1);
    if (latent && latent->type == "EmptyLatentImage") {
      take("width", *latent, "width");
      take("height", *latent, "height");
      const auto batch = static_cast<int64_t>(std::clamp(number(*latent, "batch_size", 1), 1.0, 1e6));
      if (batch > 1) {
        settings.noise_slice = fmt::format("0/{}", batch);
        warn(*latent, fmt::format("{} pictures were drawn at once, and which this is is not said: the first is drawn; "
                                  "--noise-slice K/{} takes another",
                                  batch, batch));
      }
      if (denoise < 1) warn(sampler, "denoise below 1 on an empty latent is left out");
      return;
    }
    settings.width = request_.source().width;
    settings.height = request_.source().height;
    if (denoise < 1) take("strength", sampler, "denoise");
    if (latent)
      warn(*latent, "is no EmptyLatentImage: the size is the picture's own; --init-img names what it began with");
  }

  void set_prompt(const char* side, const std::string& text) const {
    if (std::string_view(side) == "positive") {
      request_.settings.prompt = text;
    } else {
      request_.settings.negative_prompt = text;
    }
  }

  /// From a sampler's side back to the node that encodes its text.
  void read_prompt(const ComfyNode& sampler, const char* side) const {
    const ComfyNode* node = graph_.behind(sampler, side);
    std::set<const ComfyNode*> seen;  // a chain may be a ring
    while (node && seen.insert(node).second) {
      if (node->type.find("CLIPTextEncode") != std::string::npos) return read_text(*node, side);
      if (node->type == "ConditioningZeroOut") {
        warn(*node, fmt::format("zeros on the {} side: an empty prompt takes their place", side));
        return set_prompt(side, "");
      }
      warn(*node, fmt::format("is left out on the {} side", side));
      node = graph_.behind_any(*node, {"conditioning", side, "conditioning_1", "conditioning_to", "cond1"});
    }
    request_.warn(side, "no CLIPTextEncode leads to it, so that its prompt is empty");
    set_prompt(side, "");
  }

  void read_text(const ComfyNode& node, const char* side) const {
    if (!node.type.starts_with("CLIPTextEncode")) warn(node, "its text is read as a CLIPTextEncode's");
    if (node.inputs.contains("text_g")) {
      const std::string big = text(node, "text_g"), small = text(node, "text_l");
      set_prompt(side, big);
      if (big != small) warn(node, "text_l is left out: both of SDXL's text encoders get text_g");
      if (std::string_view(side) == "positive") read_sizes(node);
    } else {
      set_prompt(side, text(node, "text"));
    }
    if (std::string_view(side) == "positive") read_clip(node);
  }

  void read_sizes(const ComfyNode& node) const {
    const auto pair = [&](const char* across, const char* down) {
      return PixelPair{.vertical = static_cast<int64_t>(number(node, down, 0)),
                       .horizontal = static_cast<int64_t>(number(node, across, 0))};
    };
    request_.settings.original_size = pair("width", "height");
    request_.settings.crop = pair("crop_w", "crop_h");
    request_.settings.target_size = pair("target_width", "target_height");
  }

  /// What stands between a text and its checkpoint: the layer that is taken, of which the last said counts, and LoRAs.
  void read_clip(const ComfyNode& encoder) const {
    const ComfyNode* node = graph_.behind(encoder, "clip");
    clip_is_read_ = true;
    std::set<const ComfyNode*> seen;  // a chain may be a ring
    while (node && seen.insert(node).second) {
      if (node->type == "CLIPSetLastLayer") {
        const double layer = number(*node, "stop_at_clip_layer", -1);
        if (!request_.settings.clip_skip) request_.settings.clip_skip = static_cast<int64_t>(-layer);
      } else if (node->type == "LoraLoader") {
        text_loras_.push_back(node);
      }
      node = graph_.behind(*node, "clip");
    }
  }

  void read_model(const ComfyNode& sampler) const {
    std::vector<const ComfyNode*> loras;  // the one nearest to the sampler first
    const ComfyNode* node = graph_.behind(sampler, "model");
    std::set<const ComfyNode*> seen;  // a chain may be a ring
    while (node && seen.insert(node).second) {
      if (node->type == "LoraLoader" || node->type == "LoraLoaderModelOnly") {
        loras.push_back(node);
      } else if (node->inputs.contains("ckpt_name")) {
        warn(*node, fmt::format("'{}' is not looked for; --model gives it", text(*node, "ckpt_name")));
        break;
      } else {
        read_patch(*node);
      }
      node = graph_.behind(*node, "model");
    }
    std::ranges::reverse(loras);
    const auto is_in = [](const auto& list, const ComfyNode* lora) {
      return std::ranges::find(list, lora) != list.end();
    };
    for (auto lora = text_loras_.rbegin(); lora != text_loras_.rend(); ++lora) {
      if (!is_in(loras, *lora)) request_.take_lora(text(**lora, "lora_name"), 0, number(**lora, "strength_clip", 1));
    }
    for (const ComfyNode* lora : loras) {
      const bool both = lora->type == "LoraLoader" && (!clip_is_read_ || is_in(text_loras_, lora));
      request_.take_lora(text(*lora, "lora_name"), number(*lora, "strength_model", 1),
                         both ? number(*lora, "strength_clip", 1) : 0);
    }
  }

  /// What changes a model on its way to the sampler.
  void read_patch(const ComfyNode& node) const {
    Settings& settings = request_.settings;
    if (node.type == "ModelSamplingDiscrete") {
      const std::string sampling = text(node, "sampling");
      if (sampling == "v_prediction" || sampling == "eps") {
        settings.prediction = sampling == "eps" ? "epsilon" : "v";
      } else {
        warn(node, sampling + " is left out");
      }
      if (graph_.value(node, "zsnr") == true) warn(node, "zsnr is left out");
    } else if (node.type == "RescaleCFG") {
      take("guidance-rescale", node, "multiplier");
    } else if (node.type == "FreeU") {
      settings.freeu = {number(node, "b1", 1), number(node, "b2", 1), number(node, "s1", 1), number(node, "s2", 1)};
    } else if (node.type == "PerturbedAttentionGuidance") {
      take("pag-scale", node, "scale");
    } else {
      warn(node, "is left out of the model's way");
    }
  }

  /// The node that decodes what the sampler drew.
  void read_decoder(const ComfyNode& sampler) const {
    for (const auto& [id, node] : graph_.nodes()) {
      if (!node.type.starts_with("VAEDecode") || graph_.behind(node, "samples") != &sampler) continue;
      if (node.type == "VAEDecodeTiled") request_.settings.vae_tiling = true;
      const ComfyNode* loader = graph_.behind(node, "vae");
      if (loader && loader->inputs.contains("vae_name")) request_.take_vae(text(*loader, "vae_name"));
      return;
    }
  }

  const ComfyGraph& graph_;
  ForeignRequest& request_;
  mutable std::vector<const ComfyNode*> text_loras_{};  ///< between the prompt's text and its checkpoint
  mutable bool clip_is_read_ = false;
};

}  // namespace

Settings read_comfy_graph(const PngText* prompt, const PngText* workflow, const PictureSource& source) {
  const PngText& text = prompt ? *prompt : *workflow;
  ForeignRequest request(source, text.keyword);
  const json values = parse_foreign_json(text, source.file);
  const ComfyGraph graph = prompt ? ComfyGraph::from_prompt(values) : ComfyGraph::from_workflow(values);
  ComfyReader(graph, request).read();
  return request.finish();
}

}  // namespace sdtorch
