// doctor: what will go wrong, before it does.
#include <dlfcn.h>
#include <fmt/format.h>
#include <link.h>
#include <sys/statvfs.h>

#include <fstream>
#include <iostream>
#include <set>
#include <sstream>

#include "commands.hpp"
#include "grpo/base.h"
#include "grpo/plugin.h"
#include "grpo/sdk/plugins/manifest.hpp"
#include "grpo/sdk/plugins/registry.hpp"
#include "grpo/sdk/train/session.hpp"

namespace grpo::host {
namespace {

std::string cpu_model() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown";
}

// Empty: none of those that matter.
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
    return found;
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
  std::ifstream limit("/sys/fs/cgroup/memory.max");  // of a container; "max" for none
  if (double bytes = 0; limit >> bytes && bytes / 1073741824.0 < total)
    return fmt::format("{:.1f} GiB for this container, of {:.1f} GiB", bytes / 1073741824.0, total);
  return fmt::format("{:.1f} GiB, {:.1f} GiB available", total, available);
}

std::string disk(const char* path) {
  struct statvfs s {};
  if (statvfs(path, &s) != 0) return "unknown";
  return fmt::format("{:.1f} GiB free in {}",
                     static_cast<double>(s.f_bavail) * static_cast<double>(s.f_frsize) / 1073741824.0, path);
}

// What a line says about what stands in it.
enum class Mark { fact, fine, optional, warning, wrong };

class Report {
 public:
  void section(const std::string& title) { std::cout << '\n' << title << '\n'; }

  void row(Mark mark, const std::string& name, const std::string& value, const std::string& way_out = "") {
    static constexpr const char* words[] = {"", "ok", "-", "warning", "WRONG"};
    std::cout << fmt::format("  {:<7} {:<16} {}\n", words[static_cast<int>(mark)], name, value);
    if (!way_out.empty()) std::cout << std::string(27, ' ') << "-> " << way_out << '\n';
    problems_ += mark == Mark::wrong;
    warnings_ += mark == Mark::warning;
  }

  int end() const {
    const auto count = [](int n, const char* what) { return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s"); };
    std::cout << '\n'
              << (problems_   ? count(problems_, "problem") + ": see WRONG above"
                  : warnings_ ? "ready to run; " + count(warnings_, "warning")
                              : std::string("ready to run"))
              << "\n";
    return problems_ ? 1 : 0;
  }

 private:
  int problems_ = 0, warnings_ = 0;
};

void machine(Report& report) {
  report.section("machine");
  report.row(Mark::fact, "processor", fmt::format("{}, {} core(s)", cpu_model(), train::usable_cores()));
  const auto features = cpu_features();
  report.row(features.empty() ? Mark::warning : Mark::fact, "instructions",
             features.empty() ? "none of AVX2, AVX-512, AMX: expect slow arithmetic" : features);
  report.row(Mark::fact, "memory", memory());
  report.row(Mark::fact, "disk", disk("."));
}

// Each plugin is loaded as a run would load it: a library that LibTorch lacks shows here.
void plugins_of(Report& report, const RunArguments& a) {
  report.section("plugins");
  auto registry = train::make_registry(a.plugin_places());
  for (const auto& place : registry.directories()) report.row(Mark::fact, "searched", place);
  for (const char* id : {"grpo.model/1", "grpo.sampler/1", "grpo.reward/1", "grpo.optimizer/1"}) {
    const auto kind = plugins::kind_of(id);
    std::string names;
    for (const auto& name : registry.names(id)) {
      try {
        registry.load(id, name);
        names += (names.empty() ? "" : ", ") + name;
      } catch (const std::exception& e) {
        report.row(Mark::wrong, kind + " " + name, e.what());
      }
    }
    if (!names.empty()) report.row(Mark::fine, kind, names);
    if (registry.names(id).empty())
      report.row(Mark::wrong, kind, "none, and a run needs one",
                 "--plugins DIR names a directory; it replaces the default, and may be given several times");
  }
  for (const auto& refusal : registry.refusals()) {
    if (refusal.is_plugin)
      report.row(Mark::wrong, "refused", refusal.path + ": " + refusal.reason);
    else
      report.row(Mark::optional, "no plugin", refusal.path + ": passed over (" + refusal.reason + ")");
  }
}

// The directory of LibTorch, where a plugin has brought it into this process; empty: none has.
std::string libtorch_directory() {
  std::string found;
  dl_iterate_phdr(
      [](dl_phdr_info* library, std::size_t, void* out) {
        const std::filesystem::path path(library->dlpi_name ? library->dlpi_name : "");
        if (path.filename() == "libtorch_cpu.so") *static_cast<std::string*>(out) = path.parent_path().string();
        return 0;
      },
      &found);
  return found;
}

// Empty: it loads.
std::string why_not_loaded(const std::string& library) {
  if (dlopen(library.c_str(), RTLD_LAZY | RTLD_LOCAL)) return {};
  const char* why = dlerror();
  return why ? why : "unknown";
}

std::string cuda_devices() {
  void* driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
  if (!driver) return {};
  using Init = int (*)(unsigned);
  using Count = int (*)(int*);
  using Version = int (*)(int*);
  const auto init = reinterpret_cast<Init>(dlsym(driver, "cuInit"));
  const auto count = reinterpret_cast<Count>(dlsym(driver, "cuDeviceGetCount"));
  const auto version = reinterpret_cast<Version>(dlsym(driver, "cuDriverGetVersion"));
  int n = 0, v = 0;
  if (!init || !count || !version || init(0) != 0 || count(&n) != 0 || n == 0) return {};
  version(&v);
  return fmt::format("{} device(s), driver for CUDA {}.{}", n, v / 1000, v % 1000 / 10);
}

// After the plugins, which load LibTorch.
void cuda(Report& report) {
  report.section("CUDA (optional: only model.device: cuda needs it)");
  const auto devices = cuda_devices();
  if (devices.empty()) {
    report.row(Mark::optional, "GPU", "no NVIDIA driver, or no device: runs use the processor");
    return;
  }
  report.row(Mark::fine, "GPU", devices);
  const auto torch = libtorch_directory();
  if (torch.empty()) {
    report.row(Mark::optional, "LibTorch", "no plugin here uses it");
    return;
  }
  const auto why = why_not_loaded(torch + "/libtorch_cuda.so");
  if (why.empty()) {
    report.row(Mark::fine, "LibTorch", "its CUDA part loads");
    return;
  }
  report.row(Mark::warning, "LibTorch", "its CUDA part does not load: " + why,
             "install what is missing, and name its directory in LD_LIBRARY_PATH");
  static constexpr std::pair<const char*, const char*> known[] = {
      {"libcudart.so.13", "nvidia-cuda-runtime"}, {"libcupti.so.13", "nvidia-cuda-cupti"},
      {"libcublas.so.13", "nvidia-cublas"},       {"libcudnn.so.9", "nvidia-cudnn-cu13"},
      {"libcufile.so.0", "nvidia-cufile"},        {"libcusparseLt.so.0", "nvidia-cusparselt-cu13"},
      {"libnccl.so.2", "nvidia-nccl-cu13"},       {"libnvshmem_host.so.3", "nvidia-nvshmem-cu13"}};
  for (const auto& [library, wheel] : known)
    if (!why_not_loaded(library).empty())
      report.row(Mark::warning, library, "not where the loader looks",
                 std::string("the CUDA toolkit, or pip install ") + wheel);
}

int doctor(const RunArguments& a) {
  std::cout << fmt::format("grpo-host {}, plugin ABI {} (headers revision {})\n", GRPO_VERSION, GRPO_ABI,
                           GRPO_HEADER_REVISION);
  Report report;
  machine(report);
  plugins_of(report, a);
  cuda(report);
  return report.end();
}

}  // namespace

void add_doctor(Command program) {
  Command sub = program.command("doctor",
                                "What will go wrong, before it does: versions, machine, plugins (each is loaded), "
                                "CUDA. Exit status 1: a problem");
  sub.group(group_tools);
  auto a = std::make_shared<RunArguments>();
  a->add_plugins(sub);
  sub.action([a] { return doctor(*a); });
}

}  // namespace grpo::host
