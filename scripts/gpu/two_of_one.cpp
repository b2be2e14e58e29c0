// Lets one GPU stand for several: a process whose CUDA_VISIBLE_DEVICES lists a GPU more than once, which the driver
// would refuse, counts as many as are listed. It may count them only; a worker of its own sees the one it is given.
// For scripts/gpu/batch.py, which loads it before all other libraries.
#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <string>

extern "C" int cudaGetDeviceCount(int* count) {
  const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
  const std::string list = visible ? visible : "";
  if (list.find(',') != std::string::npos) {
    *count = 1 + static_cast<int>(std::count(list.begin(), list.end(), ','));
    return 0;
  }
  using Function = int (*)(int*);
  static const auto real = reinterpret_cast<Function>(dlsym(RTLD_NEXT, "cudaGetDeviceCount"));
  return real(count);
}
