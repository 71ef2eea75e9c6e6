// doctor: what will go wrong, before it does.
#include <dlfcn.h>
#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <fstream>
#include <iostream>
#include <set>
#include <sstream>

#include "commands.hpp"
#include "grpo/base.h"
#include "grpo/plugin.h"
#include "grpo/sdk/plugins/registry.hpp"
#include "grpo/sdk/train/session.hpp"

namespace grpo::host {
namespace {

void row(const std::string& name, const std::string& value) { std::cout << fmt::format("{:<18} {}\n", name, value); }

std::string cpu_model() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown";
}

std::string cpu_features() {
  std::ifstream in("/proc/cpuinfo");
  static const std::set<std::string> wanted = {"avx2",     "avx512f",  "avx512_bf16", "avx512_vnni",
                                               "amx_tile", "amx_bf16", "avx512_fp16"};
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with("flags")) continue;
    std::istringstream words(line.substr(line.find(':') + 1));
    std::string found;
    for (std::string word; words >> word;)
      if (wanted.contains(word)) found += (found.empty() ? "" : " ") + word;
    return found.empty() ? "none of AVX2, AVX-512, AMX: expect slow arithmetic" : found;
  }
  return "unknown";
}

std::string memory() {
  std::ifstream in("/proc/meminfo");
  double total = 0, available = 0;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("MemTotal:")) total = std::stod(line.substr(9)) / 1048576;
    if (line.starts_with("MemAvailable:")) available = std::stod(line.substr(13)) / 1048576;
  }
  return fmt::format("{:.1f} GiB, {:.1f} GiB available", total, available);
}

std::string disk(const char* path) {
  struct statvfs s {};
  if (statvfs(path, &s) != 0) return "unknown";
  return fmt::format("{:.1f} GiB free in {}",
                     static_cast<double>(s.f_bavail) * static_cast<double>(s.f_frsize) / 1073741824.0, path);
}

// Whether the dynamic linker finds a library here, without keeping it.
std::string library(const char* name) {
  if (void* handle = dlopen(name, RTLD_LAZY | RTLD_LOCAL)) {
    dlclose(handle);
    return "found";
  }
  return "not found";
}

std::string gpus() {
  void* driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
  if (!driver) return "no NVIDIA driver (libcuda.so.1): model.device: cuda will not work";
  using Init = int (*)(unsigned);
  using Count = int (*)(int*);
  using Version = int (*)(int*);
  const auto init = reinterpret_cast<Init>(dlsym(driver, "cuInit"));
  const auto count = reinterpret_cast<Count>(dlsym(driver, "cuDeviceGetCount"));
  const auto version = reinterpret_cast<Version>(dlsym(driver, "cuDriverGetVersion"));
  int n = 0, v = 0;
  if (!init || !count || !version || init(0) != 0 || count(&n) != 0) return "a driver, but no usable device";
  version(&v);
  return fmt::format("{} device(s), driver for CUDA {}.{}", n, v / 1000, v % 1000 / 10);
}

int doctor(const RunArguments& a) {
  row("grpo-host", GRPO_VERSION);
  row("plugin ABI", fmt::format("{}, headers revision {}", GRPO_ABI, GRPO_HEADER_REVISION));
  row("processor", fmt::format("{}, {} core(s)", cpu_model(), sysconf(_SC_NPROCESSORS_ONLN)));
  row("instructions", cpu_features());
  row("memory", memory());
  row("disk", disk("."));
  row("GPU", gpus());
  for (const char* name : {"libcudart.so.13", "libcupti.so.13"})
    row(name, library(name) + " on the default path (LibTorch links it)");
  for (const char* name :
       {"libcufile.so.0", "libcusparseLt.so.0", "libnvshmem_host.so.3", "libcudnn.so.9", "libnccl.so.2"})
    row(name, library(name) + " on the default path (needed for model.device: cuda)");
  int problems = 0;
  const auto registry = train::make_registry(a.plugin_places());
  for (const auto& place : registry.directories()) row("plugins in", place);
  for (const char* id : {"grpo.model/1", "grpo.sampler/1", "grpo.reward/1", "grpo.optimizer/1"}) {
    std::string names;
    for (const auto& name : registry.names(id)) names += (names.empty() ? "" : " ") + name;
    row(id, names.empty() ? "NONE" : names);
    problems += names.empty();
  }
  for (const auto& refusal : registry.refusals()) {
    row(refusal.is_plugin ? "REFUSED" : "no plugin", refusal.path + ": " + refusal.reason);
    problems += refusal.is_plugin;
  }
  std::cout << (problems ? fmt::format("{} problem(s)\n", problems) : "no problems found\n");
  return problems ? 1 : 0;
}

}  // namespace

void add_doctor(Command program) {
  Command sub =
      program.command("doctor", "Versions, processor, memory, disk, GPUs, plugins: what will go wrong, before it does");
  auto a = std::make_shared<RunArguments>();
  a->add_plugins(sub);
  sub.action([a] { return doctor(*a); });
}

}  // namespace grpo::host
