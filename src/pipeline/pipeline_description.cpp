#include "pipeline/pipeline_description.hpp"

#include <fmt/format.h>

#include "core/device.hpp"
#include "core/error.hpp"
#include "core/paths.hpp"
#include "nn/quantized.hpp"
#include "pipeline/embeddings.hpp"
#include "pipeline/hypernetworks.hpp"
#include "pipeline/resolve.hpp"
#include "weights/model_path.hpp"

namespace sdtorch {

PipelineDescription describe_pipeline(const ModelChoice& choice) {
  choice.validate();
  const ReadOptions options{.ignore_unknown = choice.ignore_unknown};
  PipelineDescription described{.choice = choice};
  described.device = resolve_device(choice.device);
  described.dtype = resolve_dtype(choice.dtype, described.device);
  described.choice.device = described.device.str();
  if (!has_products(quantization_of(choice.quantize), described.device)) {
    const bool integers = choice.quantize == "int8";
    refuse("--quantize",
           fmt::format("{} has no products of 8-bit {}", described.choice.device, integers ? "integers" : "floats"),
           integers ? "CPUs with AVX512-VNNI or AMX have"
                    : "GPUs of compute capability 9.0 or above have, in a build with CUDA kernels");
  }
  described.choice.dtype = dtype_name(described.dtype);  // a picture repeats elsewhere in the type it was made in
  described.model = describe_model(choice.model, choice.vae, choice.prediction.value_or(""), options);
  if (!choice.taesd.empty()) described.model.tiny_vae = describe_tiny_vae(choice.taesd, described.model);
  described.model.embeddings = embedding_store(described.model, choice.embd_dir);
  described.model.hypernetworks = std::make_shared<HypernetworkShelf>(choice.hypernetwork_dir);
  described.model.loras = std::make_shared<LoraShelf>(choice.lora_dir, LoraOptions{.lenient = choice.lora_lenient});
  if (!choice.lora_dir.empty() && !is_folder(choice.lora_dir)) {
    refuse("--lora-dir", fmt::format("{}: no such folder", choice.lora_dir));
  }
  if (!choice.depth_estimator.empty()) {
    if (described.model.task != Task::depth && choice.control_net.empty()) {
      refuse("--depth-estimator", "nothing here asks for depth", "models for depth to image and control nets do");
    }
    described.model.depth_estimator = describe_depth_estimator(find_model(choice.depth_estimator), options);
  }
  for (const std::string& net : choice.control_net) {
    if (net.empty()) refuse("--control-net", "is empty");
    described.model.controls.push_back(describe_control(net, described.model));
  }
  described.model.ip_adapters = describe_ip_adapters(choice, described.model);
  if (!choice.classifier.empty()) described.model.classifier = describe_classifier(choice.classifier, described.model);
  if (!choice.refiner.empty()) {
    described.refiner = describe_model(choice.refiner, choice.vae, {}, options);
    described.refiner->tiny_vae = described.model.tiny_vae;
    check_refiner(described.model, *described.refiner);
    described.refiner->embeddings = embedding_store(*described.refiner, choice.embd_dir);
  }
  return described;
}

}  // namespace sdtorch
