#include "nn/captured.hpp"

#include <ATen/cuda/CUDAGraph.h>
#include <c10/core/Event.h>
#include <c10/core/InferenceMode.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <fmt/format.h>

#include <algorithm>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "core/log.hpp"
#include "core/profile.hpp"
#include "nn/cuda/tuning.hpp"

namespace sdtorch {
namespace {

using c10::cuda::CUDAStream;
using PoolId = decltype(at::cuda::graph_pool_handle());

/// Where captures happen, one a device: no other work goes there, since it would be captured, too. Not from several
/// threads at once: see capturing.
CUDAStream capture_stream(at::DeviceIndex device) {
  static std::map<at::DeviceIndex, CUDAStream> streams;
  const auto known = streams.find(device);
  if (known != streams.end()) return known->second;
  return streams.emplace(device, c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device)).first->second;
}

std::mutex& capturing() {
  static std::mutex mutex;
  return mutex;
}

/// What is queued on one from here on waits for what is queued on the other so far.
void let_wait(const CUDAStream& one, const CUDAStream& other) {
  c10::Event queued(c10::DeviceType::CUDA);
  queued.record(other);
  queued.block(one);
}

std::optional<at::Device> device_of(const std::vector<at::Tensor>& tensors) {
  const auto found = std::ranges::find_if(tensors, [](const at::Tensor& tensor) { return tensor.defined(); });
  return found == tensors.end() ? std::nullopt : std::optional(found->device());
}

std::string key_of(const std::vector<at::Tensor>& inputs, const std::string& kind) {
  std::string key = kind;
  for (const at::Tensor& input : inputs) {
    key += '|';
    if (!input.defined()) continue;
    key += c10::toString(input.scalar_type());
    for (const int64_t size : input.sizes()) key += fmt::format(" {}", size);
  }
  return key;
}

/// Leaves the capture that the current stream is in, whatever state it is in.
void abandon(at::cuda::CUDAGraph& graph, at::DeviceIndex device, PoolId pool) {
  try {
    graph.capture_end();
  } catch (const c10::Error&) {
    (void)cudaGetLastError();  // the capture was broken, and is over; nothing else is wrong
    try {
      c10::cuda::CUDACachingAllocator::endAllocateToPool(device, pool);
    } catch (const c10::Error&) {  // the graph has seen to it
    }
  }
}

/// A captured call. What it reads and writes lies where it did when it was captured.
struct CapturedCall {
  std::vector<at::Tensor> inputs{};
  at::Tensor output{};
  std::unique_ptr<at::cuda::CUDAGraph> graph = std::make_unique<at::cuda::CUDAGraph>();
  c10::Event done{c10::DeviceType::CUDA};  ///< with the last replay

  void capture(const std::vector<at::Tensor>& given, const CapturedCalls::Function& function, PoolId pool) {
    for (const at::Tensor& input : given) inputs.push_back(input.defined() ? input.clone() : input);
    const CUDAStream now = c10::cuda::getCurrentCUDAStream();
    const std::lock_guard lock(capturing());
    const CUDAStream side = capture_stream(now.device_index());
    let_wait(side, now);
    const c10::cuda::CUDAStreamGuard guard(side);
    // Another thread may allocate meanwhile.
    graph->capture_begin(pool, cudaStreamCaptureModeThreadLocal);
    try {
      output = function(inputs);
      graph->capture_end();
    } catch (...) {
      abandon(*graph, now.device_index(), pool);
      throw;
    }
  }

  at::Tensor replay(const std::vector<at::Tensor>& given) {
    const CUDAStream now = c10::cuda::getCurrentCUDAStream();
    done.block(now);  // the last caller's stream may be another
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (inputs[i].defined()) inputs[i].copy_(given[i]);
    }
    graph->replay();
    at::Tensor result = output.clone();
    done.record(now);
    return result;
  }
};

}  // namespace

struct CapturedCalls::Graphs {
  struct Entry {
    std::string key{};
    std::set<std::thread::id> warm{};  ///< threads that have called it plainly: their libraries are set up for it
    bool refused = false;              ///< it cannot be captured
    int64_t plain = 0;                 ///< calls so far
    std::unique_ptr<CapturedCall> call{};
  };

  mutable std::mutex mutex{};
  std::list<Entry> entries{};    ///< the last used in front
  std::optional<PoolId> pool{};  ///< of all graphs: they run one after the other

  Entry& of(const std::string& key) {
    constexpr size_t most = 8;
    const auto known = std::ranges::find_if(entries, [&](const Entry& entry) { return entry.key == key; });
    if (known != entries.end()) {
      entries.splice(entries.begin(), entries, known);
    } else {
      entries.emplace_front();
      entries.front().key = key;
      if (entries.size() > most) entries.pop_back();
    }
    return entries.front();
  }

  /// Whether there is a graph now.
  bool capture(Entry& entry, const std::vector<at::Tensor>& inputs, const Function& function) {
    if (!pool) pool = at::cuda::graph_pool_handle();
    auto call = std::make_unique<CapturedCall>();
    try {
      call->capture(inputs, function, *pool);
    } catch (const c10::Error& error) {
      entry.refused = true;
      pool.reset();  // nobody knows what state it is in
      log_detail(fmt::format("no CUDA graph: {}", error.what_without_backtrace()));
      return false;
    }
    entry.call = std::move(call);
    return true;
  }
};

CapturedCalls::CapturedCalls() : graphs_(std::make_unique<Graphs>()) {}
CapturedCalls::~CapturedCalls() = default;

at::Tensor CapturedCalls::operator()(const std::vector<at::Tensor>& inputs, const Function& function,
                                     const CallHint& hint) {
  constexpr int64_t least = 4;  // a capture takes about as long as two plain calls save
  const auto device = device_of(inputs);
  // A profile waits for each layer, which a capture does not bear.
  const bool may = device && device->is_cuda() && cuda::tuning().graphs && c10::InferenceMode::is_enabled() &&
                   !LayerTimer::records();
  if (!may) return function(inputs);
  const c10::cuda::CUDAGuard guard(*device);
  {
    const std::lock_guard lock(graphs_->mutex);
    Graphs::Entry& entry = graphs_->of(key_of(inputs, hint.kind));
    if (entry.call) return entry.call->replay(inputs);
    const bool warm = !entry.warm.insert(std::this_thread::get_id()).second;
    // What has come so often will come again: few steps a picture, over many pictures.
    const bool often = hint.expected >= least || ++entry.plain > 2 * least;
    if (warm && !entry.refused && often && graphs_->capture(entry, inputs, function)) {
      return entry.call->replay(inputs);
    }
  }
  return function(inputs);
}

void CapturedCalls::clear() {
  const std::lock_guard lock(graphs_->mutex);
  for (const Graphs::Entry& entry : graphs_->entries) {
    if (entry.call) entry.call->done.synchronize();
  }
  graphs_->entries.clear();
}

size_t CapturedCalls::graphs() const {
  const std::lock_guard lock(graphs_->mutex);
  return static_cast<size_t>(
      std::ranges::count_if(graphs_->entries, [](const Graphs::Entry& entry) { return entry.call != nullptr; }));
}

}  // namespace sdtorch
