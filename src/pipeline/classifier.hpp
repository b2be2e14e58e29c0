// Classifier guidance: a classifier over noisy latents leads a model to a class by its gradient.
#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <memory>
#include <string>

#include "diffusion/sampler.hpp"
#include "networks/latent_classifier.hpp"

namespace sdtorch {

struct ModelDescription;

/// Everything about a classifier but its weights.
struct ClassifierDescription {
  std::filesystem::path path{};
  LatentClassifierConfig config{};
};

/// path: a folder with config.json and diffusion_pytorch_model.safetensors. Throws ErrorKind::model naming file and
/// key, also where its latents are not the model's.
ClassifierDescription describe_classifier(const std::string& path, const ModelDescription& model);

/// Loads the weights, in fp32: the gradient is small. Throws ErrorKind::model with every missing, unexpected and
/// misshapen key.
std::shared_ptr<const LatentClassifier> load_classifier(const ClassifierDescription& classifier, at::Device device);

/// The place in `classes` of a class by its name, or by its number from 0. Throws ErrorKind::usage naming --class.
int64_t find_class(const LatentClassifierConfig& config, const std::string& name);

struct ClassifierGuidance {
  std::shared_ptr<const LatentClassifier> classifier{};
  int64_t target = 0;                           ///< the class led to
  double scale = 1;                             ///< s of the paper
  Prediction prediction = Prediction::epsilon;  ///< what the model predicts
};

/// eps - scale sqrt(1 - alpha_bar) ∇_x log p(target | x, t) in place of the model's eps (Dhariwal & Nichol 2021,
/// Algorithm 2), whatever the model predicts. Pure noise says nothing of a class: there the model's own stands.
Model guided_by_classifier(Model model, ClassifierGuidance guidance);

}  // namespace sdtorch
