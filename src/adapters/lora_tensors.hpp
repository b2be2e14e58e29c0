// The tensors that a LoRA file has for one layer, and what can be wrong with them.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sdtorch {

/// The layer of the model that they change.
struct LoraLayer {
  std::string component{}, module{};
  std::optional<std::vector<int64_t>> weight{}, bias{};  ///< shapes; none: the layer has no such tensor
};

/// Thrown by what reads one layer's tensors, and caught by read_lora, which lists all of a file at once.
struct LoraMisfit {
  std::string key{};  ///< of the file
  std::string reason{};
  bool broken = false;  ///< no reading of the file makes sense of it: an error even where leniency is asked for
};

/// They are taken out one by one by the kind of adapter that has them; what is left over belongs to none.
class LoraTensors {
 public:
  struct Part {
    std::string key{};
    at::Tensor tensor{};
  };

  /// Throws LoraMisfit where another key of the file has said something else of it.
  void add(const std::string& part, Part tensor);

  bool has(std::string_view part) const { return parts_.contains(part); }
  bool empty() const { return parts_.empty(); }
  /// What is left, for messages.
  const std::map<std::string, Part, std::less<>>& rest() const { return parts_; }

  /// The tensor, floating-point, finite and not empty, of at least `dims` axes.
  /// Throws LoraMisfit: it is not there (under the key of another of the layer), or is none of these.
  Part take(std::string_view part, int64_t dims = 1);
  std::optional<Part> take_if(std::string_view part, int64_t dims = 1);
  /// A single finite number of any type and shape.
  std::optional<double> take_number(std::string_view part);

 private:
  Part extract(std::string_view part);

  std::map<std::string, Part, std::less<>> parts_{};
  std::string first_key_{};
};

/// Throws LoraMisfit of the part's key where the condition does not hold.
void expect(bool holds, const LoraTensors::Part& part, const std::string& reason);

/// "[320, 4, 1, 1]"
std::string shape_text(at::IntArrayRef shape);

/// In fp32, which is what all is computed in, and where the weight is.
at::Tensor as_fp32(const LoraTensors::Part& part, const at::Tensor& weight);

}  // namespace sdtorch
