#include "adapters/extract_lora.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <memory>
#include <utility>
#include <vector>

#include "adapters/lora_tensors.hpp"
#include "core/cancel.hpp"
#include "core/error.hpp"
#include "core/log.hpp"

namespace sdtorch {
namespace {

constexpr std::array<const char*, 3> extracted_components = {"unet", "text_encoder", "text_encoder_2"};

std::string flat_name(std::string name) {
  std::ranges::replace(name, '.', '_');
  return name;
}

/// Kohya's name of a layer; text encoders have transformers' old `text_model` in theirs.
std::string kohya_name(const std::string& prefix, const std::string& module) {
  const bool in_text_model = prefix != "lora_unet_" && !module.starts_with("text_projection");
  return prefix + (in_text_model ? "text_model_" : "") + flat_name(module);
}

/// up·down ≈ difference.
struct Product {
  at::Tensor up, down;  // [rows, r], [r, columns]
};

/// The best product of a rank. U of D·Dᵀ (or V of Dᵀ·D, whichever is smaller) in double, where squaring costs no digit
/// that counts; the other factor is what D has along it, so that at full rank nothing is lost.
Product best_product(const at::Tensor& difference, int64_t rank) {
  const bool wide = difference.size(0) <= difference.size(1);
  const at::Tensor d = wide ? difference : difference.t();
  const auto [values, vectors] = at::linalg_eigh(d.mm(d.t()));  // ascending
  const int64_t kept = std::min(rank, d.size(0));
  const at::Tensor along = vectors.narrow(1, d.size(0) - kept, kept).flip(1);
  const at::Tensor across = along.t().mm(d);
  // Both factors of one size, for fp16's sake.
  const at::Tensor sizes = across.norm(2, {1}).clamp_min(1e-30).sqrt();
  const at::Tensor up = along * sizes, down = across / sizes.unsqueeze(1);
  return wide ? Product{up, down} : Product{down.t(), up.t()};
}

class Extraction {
 public:
  Extraction(const std::string& prefix, const ExtractLoraOptions& options) : prefix_(prefix), options_(options) {}

  /// difference: in double, of the tensor `part` (weight, bias) of the layer; of_norm: the layer's weight is a vector.
  void add(const std::string& module, const std::string& part, bool of_norm, const at::Tensor& difference) {
    const std::string name = kohya_name(prefix_, module);
    if (difference.dim() >= 2) {
      add_product(name, difference);
    } else if (options_.only_products) {
      return;
    } else if (of_norm) {
      put(name + (part == "bias" ? ".b_norm" : ".w_norm"), difference);
      // A1111 reads the two together alone.
      const std::string other = name + (part == "bias" ? ".w_norm" : ".b_norm");
      if (!tensors_.contains(other)) put(other, at::zeros_like(difference));
    } else {
      put(name + ".diff_b", difference);
    }
  }

  std::map<std::string, at::Tensor> take() { return std::move(tensors_); }

 private:
  void add_product(const std::string& name, const at::Tensor& difference) {
    const bool kernel = difference.dim() > 2 && difference[0][0].numel() > 1;
    const int64_t rank = kernel && options_.conv_rank > 0 ? options_.conv_rank : options_.rank;
    const Product product = best_product(difference.flatten(1), rank);
    std::vector<int64_t> down = difference.sizes().vec(), up(difference.sizes().size(), 1);
    down[0] = up[1] = product.down.size(0);
    up[0] = difference.size(0);
    put(name + ".lora_down.weight", product.down.reshape(down));
    put(name + ".lora_up.weight", product.up.reshape(up));
    put(name + ".alpha", at::scalar_tensor(static_cast<double>(down[0]), at::kDouble));
  }

  void put(const std::string& name, const at::Tensor& tensor) {
    tensors_[name] = tensor.to(options_.dtype).contiguous();
    if (at::isfinite(tensors_[name]).all().item<bool>()) return;
    fail(ErrorKind::output, options_.output, name, "is too large for the type of the file", "--dtype bf16 or fp32");
  }

  const std::string& prefix_;
  const ExtractLoraOptions& options_;
  std::map<std::string, at::Tensor> tensors_{};
};

void check_finite(const std::string& key, const SourcedTensor& weight) {
  if (at::isfinite(weight.tensor).all().item<bool>()) return;
  fail(ErrorKind::model, weight.file, key, "has numbers that are not finite");
}

std::string kohya_prefix(const std::string& component, bool two_encoders) {
  if (component == "unet") return "lora_unet_";
  if (component == "text_encoder_2") return "lora_te2_";
  return two_encoders ? "lora_te1_" : "lora_te_";
}

/// The same components in both. Returns those that there are.
std::vector<std::string> common_components(const ModelSource& from, const ModelSource& to) {
  std::vector<std::string> common;
  for (const char* component : extracted_components) {
    if (from.has(component) != to.has(component)) {
      const ModelSource& with = from.has(component) ? from : to;
      const ModelSource& without = from.has(component) ? to : from;
      fail(ErrorKind::model, without.path(), component,
           fmt::format("is not there, as it is in {}; both must be of one family", with.path().string()));
    }
    if (from.has(component)) common.emplace_back(component);
  }
  return common;
}

}  // namespace

std::map<std::string, at::Tensor> extract_component(const StateDict& from, const StateDict& to,
                                                    const std::string& prefix, const ExtractLoraOptions& options) {
  for (const auto& [key, weight] : to) {
    if (!from.contains(key)) fail(ErrorKind::model, weight.file, key, "the other model has no such tensor");
  }
  Extraction extraction(prefix, options);
  for (const auto& [key, weight] : from) {
    leave_if_cancelled();
    const auto other = to.find(key);
    if (other == to.end()) fail(ErrorKind::model, weight.file, key, "the other model has no such tensor");
    const at::Tensor &a = weight.tensor, &b = other->second.tensor;
    if (a.sizes() != b.sizes()) {
      fail(ErrorKind::model, other->second.file, key,
           fmt::format("has the shape {}, and {} in {}; both must be of one family", shape_text(b.sizes()),
                       shape_text(a.sizes()), weight.file));
    }
    if (!a.is_floating_point()) continue;
    check_finite(key, weight);
    check_finite(key, other->second);
    const at::Tensor difference = b.to(at::kDouble) - a.to(at::kDouble);
    if (difference.abs().max().item<double>() == 0) continue;
    const size_t dot = key.rfind('.');
    const std::string module = key.substr(0, dot);
    const auto own = from.find(module + ".weight");
    const bool of_norm = own != from.end() && own->second.tensor.dim() == 1;
    extraction.add(module, key.substr(dot + 1), of_norm, difference);
  }
  return extraction.take();
}

void extract_lora(const ExtractLoraOptions& options) {
  const std::shared_ptr<const ModelSource> from = open_model(options.from), to = open_model(options.to);
  const std::vector<std::string> components = common_components(*from, *to);
  const bool two_encoders = from->has("text_encoder_2");
  std::map<std::string, at::Tensor> tensors;
  for (const std::string& component : components) {
    const std::string prefix = kohya_prefix(component, two_encoders);
    std::map<std::string, at::Tensor> found =
        extract_component(from->weights(component), to->weights(component), prefix, options);
    log_info(fmt::format("{}: {} tensors of what differs", component, found.size()));
    tensors.merge(std::move(found));
  }
  if (tensors.empty()) {
    fail(ErrorKind::model, options.to, "", fmt::format("does not differ from {}", options.from.string()),
         "there is nothing to extract; VAEs are not looked at");
  }
  save_safetensors(options.output, tensors,
                   {{"ss_network_module", "networks.lora"},
                    {"ss_network_dim", std::to_string(options.rank)},
                    {"ss_network_alpha", std::to_string(options.rank)}});
}

}  // namespace sdtorch
