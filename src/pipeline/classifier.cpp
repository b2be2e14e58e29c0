#include "pipeline/classifier.hpp"

#include <c10/core/InferenceMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "core/number.hpp"
#include "core/paths.hpp"
#include "core/suggest.hpp"
#include "diffusion/prediction.hpp"
#include "pipeline/model_description.hpp"
#include "weights/bind.hpp"
#include "weights/model_folder.hpp"
#include "weights/model_path.hpp"

namespace sdtorch {
namespace {

/// ∇_x log p(target | x, t), fp32 like x.
at::Tensor gradient(const LatentClassifier& classifier, const at::Tensor& x, double timestep, int64_t target) {
  const c10::InferenceMode off(false);
  const at::AutoGradMode on(true);
  const at::Tensor input = x.to(at::kFloat).clone().set_requires_grad(true);
  const at::Tensor timesteps = at::full({x.size(0)}, timestep, input.options().requires_grad(false));
  const at::Tensor log_p = classifier.forward(input, timesteps).log_softmax(1).select(1, target);
  return torch::autograd::grad({log_p.sum()}, {input}).front();
}

/// What a change of eps is to the network's output, over it.
double change_of_output(Prediction prediction, Mixture at) {
  if (prediction == Prediction::epsilon) return 1;
  return prediction == Prediction::v ? 1 / at.signal : -at.noise / at.signal;
}

}  // namespace

ClassifierDescription describe_classifier(const std::string& path, const ModelDescription& model) {
  ClassifierDescription classifier{.path = find_model(path)};
  if (!is_folder(classifier.path)) {
    fail(ErrorKind::model, classifier.path.string(), "", "a classifier is a folder with a config.json");
  }
  const std::string file = (classifier.path / "config.json").string();
  const nlohmann::json config = load_config(file);
  constexpr const char *class_key = "_class_name", *class_name = "LatentClassifier";
  if (!config.is_object() || config.value(class_key, nlohmann::json()) != class_name) {
    fail(ErrorKind::model, file, class_key, fmt::format("{} was expected", class_name));
  }
  classifier.config = LatentClassifierConfig::from_json(config, file, model.read_options);
  if (classifier.config.in_channels != model.vae.latent_channels) {
    fail(ErrorKind::model, file, "in_channels",
         fmt::format("{}, but the latents of {} have {} channels", classifier.config.in_channels, model.name,
                     model.vae.latent_channels));
  }
  return classifier;
}

std::shared_ptr<const LatentClassifier> load_classifier(const ClassifierDescription& classifier, at::Device device) {
  auto network = std::make_shared<LatentClassifier>(classifier.config);
  bind_weights(*network, load_component(classifier.path), at::kFloat, device, classifier.path.string());
  network->eval();
  return network;
}

int64_t find_class(const LatentClassifierConfig& config, const std::string& name) {
  const auto& classes = config.classes;
  if (const auto found = std::ranges::find(classes, name); found != classes.end()) return found - classes.begin();
  if (const auto number = parse_int(name); number && *number >= 0 && *number < std::ssize(classes)) return *number;
  const std::string similar = did_you_mean(name, classes);
  refuse("--class", fmt::format("the classifier knows no '{}'", name),
         similar.empty() ? fmt::format("it knows {}", fmt::join(classes, ", ")) : similar);
}

Model guided_by_classifier(Model model, ClassifierGuidance guidance) {
  return [model = std::move(model), guidance = std::move(guidance)](const at::Tensor& x, const DenoiserCall& call) {
    ModelOutput said = model(x, call);
    const Mixture at = mixture_at_call(call.sigma);
    if (at.signal == 0) return said;
    const double strength = guidance.scale * at.noise * change_of_output(guidance.prediction, at);
    said.guided = said.guided - strength * gradient(*guidance.classifier, x, call.timestep, guidance.target);
    return said;
  };
}

}  // namespace sdtorch
