// A model's tensors as one file in the original latent-diffusion code's layout has them.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>

#include "weights/component_plan.hpp"
#include "weights/families.hpp"
#include "weights/ldm_keys.hpp"

namespace sdtorch {

/// All tensors of a file, and how each is made. What it is made of must live as long.
struct FilePlan {
  TensorPlans tensors{};
  std::map<std::string, std::function<at::Tensor()>> makers{};

  void add(const std::string& key, TensorPlan plan, std::function<at::Tensor()> maker);
  /// A component under its own names.
  void add_same(const std::string& prefix, const ComponentPlan& plan);
  void add_foreign(const std::string& prefix, const ComponentPlan& plan,
                   const std::map<std::string, ForeignTensor>& recipes);
  void add_scalar(const std::string& key, double value);
  /// An empty tensor, whose name says something.
  void add_mark(const std::string& key);

  void save(const std::filesystem::path& file, const std::map<std::string, std::string>& metadata) const;
  /// PyTorch's format; root: see save_checkpoint.
  void save_as_checkpoint(const std::filesystem::path& file, const std::string& root) const;
};

/// What U-Nets' keys begin with.
inline constexpr const char* ldm_unet_prefix = "model.diffusion_model.";

/// The whole model: text encoders, U-Net, VAE and depth estimator as the family's files name them. OpenCLIP's encoders
/// are fused and transposed as there; SD 1.x's has the positions that strict readers ask for.
/// Throws ErrorKind::model naming the component and key for a network that has no place there: reading the file back
/// would not give it.
FilePlan plan_single_file(std::span<const ComponentPlan> components, Family family);

}  // namespace sdtorch
