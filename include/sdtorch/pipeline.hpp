// A model, opened once, that draws pictures again and again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sdtorch/error.hpp"
#include "sdtorch/image.hpp"
#include "sdtorch/request.hpp"

namespace at {
class Tensor;
}

namespace sdtorch {

/// What `draw` is doing, in order.
enum class Stage { text, denoise, decode };

/// What an observer learns after each denoising step.
struct Step {
  int64_t index = 0;            ///< 0…count-1
  int64_t count = 0;            ///< steps in all
  double timestep = 0;          ///< of the step's first network call
  double sigma = 0;             ///< noise level before the step, in units of a variance-exploding process
  const at::Tensor& latent;     ///< x after the step, fp32 [B, 4, h, w]
  const at::Tensor& predicted;  ///< the x0 that the step predicted, fp32 [B, 4, h, w]; Pipeline::decode shows it
};

/// Watches a batch being drawn. Each callback may throw to stop it; unset ones cost nothing.
struct Observer {
  std::function<void(Stage)> on_stage{};      ///< as each stage begins
  std::function<void(const Step&)> on_step{};  ///< after each step
  /// The stages' tensors by the names that `--dump` writes; batch axis first, but for timesteps and sigmas.
  std::function<void(std::string_view name, const at::Tensor&)> on_tensor{};
};

/// A finished picture.
struct Picture {
  Image image{};
  Request request{};                 ///< its own, with width and height filled in: what draws it again
  std::string sampler{};             ///< that drew it: a name in the registry
  std::vector<std::string> notes{};  ///< fallbacks that made it another picture than it would have been
};

/// A request, checked against a model.
struct CheckedRequest {
  Request request{};                    ///< with width and height filled in
  std::string sampler{};                ///< that will draw it: a name in the registry
  std::vector<std::string> warnings{};  ///< what the model has no use for, each a line for the log
};

struct PipelineDescription;
struct PipelineNetworks;

/// A model that has been read as far as its configs and its weights' headers. Copies share it.
class CheckedModel {
 public:
  explicit CheckedModel(std::shared_ptr<const PipelineDescription> description);

  /// With device and dtype as they were resolved: "cuda:0", "fp16".
  const ModelChoice& choice() const;

  /// The model's name for people: its folder's or file's, `demo` for the built-in one.
  std::string name() const;

  /// Throws ErrorKind::usage naming the flag for what the model cannot draw, ErrorKind::input as Request::validate.
  CheckedRequest check(const Request& request) const;

  const PipelineDescription& description() const { return *description_; }

 private:
  std::shared_ptr<const PipelineDescription> description_;
};

class Pipeline {
 public:
  /// Reads configs and headers alone. Throws ErrorKind::usage naming the flag, ErrorKind::model naming file and key.
  static CheckedModel check(const ModelChoice& choice);

  /// Loads the weights and prepares the networks. From here on fp32 is exact fp32 on every device, for the whole
  /// process, and its algorithms are deterministic where the choice says so. Throws as `check`, and ErrorKind::model
  /// with every missing, unexpected and misshapen key.
  static Pipeline open(const ModelChoice& choice);
  static Pipeline open(const CheckedModel& model);

  ~Pipeline();
  Pipeline(Pipeline&&) noexcept;
  Pipeline& operator=(Pipeline&&) noexcept;

  const CheckedModel& model() const { return model_; }

  /// Draws one picture a request in one batch; each comes out as it would alone. The requests must be able to share one
  /// (can_share_batch). May be called from several threads at once.
  /// Throws ErrorKind::usage and ErrorKind::input as CheckedModel::check, ErrorKind::non_finite for overflow.
  std::vector<Picture> draw(std::span<const Request> batch, const Observer& observer = {}) const;

  /// Reads a batch's prompts before its turn, in a thread beside the one that draws another batch of the same adapters:
  /// `draw` finds them encoded then. Does nothing where that would wait for it. Throws as draw.
  void prepare(std::span<const Request> batch) const;

  /// Whether there is room for that beside a drawing: a GPU's streams, or twice as many cores as threads.
  bool prepares_beside() const;

  /// One picture.
  Picture draw(const Request& request, const Observer& observer = {}) const;

  /// Shows a latent as the pictures that it decodes to: Step::latent and Step::predicted. latent: fp32 [B, 4, h, w];
  /// request: which it belongs to, for the VAE's tiles.
  std::vector<Image> decode(const at::Tensor& latent, const Request& request = {}) const;

 private:
  Pipeline(CheckedModel model, std::unique_ptr<PipelineNetworks> networks);

  CheckedModel model_;
  std::unique_ptr<PipelineNetworks> networks_;
};

/// A picture as a PNG file's bytes, with what draws it again in its metadata: A1111's `parameters`, and `sdtorch`.
std::vector<std::byte> encode_png(const Picture& picture, const ModelChoice& choice);

/// The same, written atomically: the file is complete or not there. Throws ErrorKind::output.
void save_png(const std::filesystem::path& file, const Picture& picture, const ModelChoice& choice);

}  // namespace sdtorch
