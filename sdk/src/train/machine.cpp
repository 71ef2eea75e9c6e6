#include "machine.hpp"

#include <dlfcn.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "grpo/sdk/train/prompts.hpp"

namespace grpo::train {
namespace {

std::string processor() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("model name") && line.find(": ") != line.npos) return line.substr(line.find(": ") + 2);
  return "";
}

// Of a library that is loaded, by its function int version(int*): 13000 is 13.0.
std::string cuda_version(const char* library, const char* function) {
  void* handle = dlopen(library, RTLD_LAZY | RTLD_NOLOAD);
  if (!handle) return "";
  const auto version = reinterpret_cast<int (*)(int*)>(dlsym(handle, function));
  int n = 0;
  const bool known = version && version(&n) == 0 && n > 0;
  dlclose(handle);
  return known ? std::to_string(n / 1000) + "." + std::to_string(n % 1000 / 10) : "";
}

}  // namespace

nlohmann::json machine(std::int64_t threads) {
  nlohmann::json out = {
      {"processor", processor()},
      {"cores", threads > 0 ? threads : usable_cores()},
      {"memory_bytes", static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE))}};
  utsname system{};
  if (uname(&system) == 0) {
    out["system"] = std::string(system.sysname) + " " + system.release + " " + system.machine;
    out["name"] = system.nodename;
  }
  return out;
}

std::map<std::string, std::string> device_libraries() {
  std::map<std::string, std::string> found;
  const auto add = [&](const char* name, const std::string& version) {
    if (!version.empty()) found[name] = version;
  };
  add("CUDA driver", cuda_version("libcuda.so.1", "cuDriverGetVersion"));
  add("CUDA runtime", cuda_version("libcudart.so.13", "cudaRuntimeGetVersion"));
  return found;
}

}  // namespace grpo::train
