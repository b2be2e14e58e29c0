#include "nn/cuda/tuning.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <string>
#include <string_view>

#include "core/error.hpp"

namespace sdtorch::cuda {
namespace {

[[noreturn]] void refuse_tuning(std::string_view item) {
  refuse("SDTORCH_CUDA", fmt::format("'{}' is not known", item),
         "kernels, graphs, autotune and matrix are on or off; attention is flash, cudnn, padded or efficient");
}

void set(Tuning& tuning, std::string_view item) {
  const size_t equals = item.find('=');
  if (equals == item.npos) refuse_tuning(item);
  const std::string_view name = item.substr(0, equals), value = item.substr(equals + 1);
  const bool on = value == "on", known_switch = on || value == "off";
  if (name == "kernels" && known_switch) {
    tuning.kernels = on;
  } else if (name == "graphs" && known_switch) {
    tuning.graphs = on;
  } else if (name == "autotune" && known_switch) {
    tuning.autotune = on;
  } else if (name == "matrix" && known_switch) {
    tuning.matrix = on;
  } else if (name == "attention" && value == "flash") {
    tuning.attention = AttentionKernel::flash;
  } else if (name == "attention" && value == "cudnn") {
    tuning.attention = AttentionKernel::cudnn;
  } else if (name == "attention" && value == "padded") {
    tuning.attention = AttentionKernel::padded;
  } else if (name == "attention" && value == "efficient") {
    tuning.attention = AttentionKernel::efficient;
  } else {
    refuse_tuning(item);
  }
}

Tuning read_tuning() {
  Tuning tuning;
  const char* said = std::getenv("SDTORCH_CUDA");
  std::string_view rest = said ? said : "";
  while (!rest.empty()) {
    const size_t comma = std::min(rest.find(','), rest.size());
    set(tuning, rest.substr(0, comma));
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  return tuning;
}

}  // namespace

const Tuning& tuning() {
  static const Tuning once = read_tuning();
  return once;
}

}  // namespace sdtorch::cuda
