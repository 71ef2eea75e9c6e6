// The library as a file, and what loading it does to the process.
#include <dlfcn.h>
#include <fenv.h>
#include <locale.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "../elf.hpp"
#include "caller.hpp"
#include "check.hpp"
#include "grpo/sdk/error.hpp"

namespace grpo::plugins::conformance {
namespace {

void manifest(Subject& s) {
  const Manifest& m = s.manifest();
  need(!m.version.empty(), "its \"version\" is empty", "write one: \"1.0.0\"");
  need(!m.licence.empty(), "its \"licence\" is empty", "name it as SPDX does: \"MIT\"");
  for (const ComponentManifest& c : m.components)
    for (const auto& [key, option] : c.options.items())
      need(option.contains("default") || option.value("required", false) || option["type"] == "object" ||
               option["type"] == "list" || option["type"] == "string",
           "the option '" + key + "' of '" + c.name + "' has neither a default nor \"required\": true",
           "write the default that the code uses: users see it in `plugins describe`");
}

double cpu_ms() {
  timespec t{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return 1e3 * static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_nsec);
}

void scan(Subject& s) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr double due = 50;  // what is slow there is this reader, not optimised
#else
  constexpr double due = 5;
#endif
  double best = 1e9;
  for (int i = 0; i < 5; ++i) {
    const double before = cpu_ms();
    s.manifest();
    read_manifest(s.path());
    best = std::min(best, cpu_ms() - before);
  }
  need(!::dlopen(s.path().c_str(), RTLD_NOW | RTLD_NOLOAD), "reading its manifest loaded it", "");
  char text[64];
  std::snprintf(text, sizeof text, "%.2f ms", best);
  need(best < due, "reading its manifest takes " + std::string(text) + " of processor time; 5 ms are due",
       "fewer components in a library, shorter descriptions");
  s.note = text;
}

void symbols(Subject& s) {
  std::string others;
  bool entry = false;
  try {
    for (const std::string& name : ElfFile(s.path()).exported()) {
      if (name == "grpo_plugin_entry")
        entry = true;
      else
        others += (others.empty() ? "" : ", ") + name;
    }
  } catch (const Error& e) {
    throw Failed{e.what(), "build it with grpo_add_plugin, or as docs/plugin-author.md shows"};
  }
  need(entry, "it does not export grpo_plugin_entry",
       "write GRPO_PLUGIN(...), GRPO_PLUGIN_ONE(...) or GRPO_REWARD(...)");
  if (others.size() > 200) others = others.substr(0, 200) + " ...";
  need(others.empty(), "it exports more than its entry: " + others,
       "build it with grpo_add_plugin, or link it with -Wl,--version-script=grpo_plugin.map");
}

void loads(Subject& s) {
  for (const ComponentManifest& c : s.manifest().components) {
    Subject one(s.path(), c.interface_id, c.name, {}, s.quick());
    one.loaded();
  }
}

grpo_plugin_entry_fn* entry_of(Subject& s) {
  s.at("loading the library");
  void* library = ::dlopen(s.path().c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) throw Failed{::dlerror(), "install what it needs, or name its folder in LD_LIBRARY_PATH"};
  auto* entry = reinterpret_cast<grpo_plugin_entry_fn*>(::dlsym(library, "grpo_plugin_entry"));
  need(entry, "it does not export grpo_plugin_entry", "write GRPO_PLUGIN(...)");
  return entry;
}

std::string refusal;
void keep_refusal(const grpo_host*, const char* text, int64_t size) {
  if (text && size > 0) refusal.assign(text, static_cast<std::size_t>(size));
}

// A host of another time: other ABIs, a longer struct.
void abi(Subject& s) {
  auto* entry = entry_of(s);
  Struct<grpo_host> host("the grpo_host", Fields::noisy);
  host->header_revision = GRPO_HEADER_REVISION + 7;
  host->abi_min = host->abi_max = GRPO_ABI + 1000;
  host->name = "a host of another time";
  host->refuse = keep_refusal;
  host.seal();
  s.at("grpo_plugin_entry, asked by a host that speaks ABI 1001 only");
  const grpo_plugin* answer = entry(host);
  if (!answer) {
    need(!refusal.empty(), "its entry refuses a host of another ABI without a reason",
         "use GRPO_PLUGIN, or call host->refuse before returning NULL");
    return;
  }
  need(answer->abi == GRPO_ABI, "its entry tells a host of ABI 1001 that it speaks " + std::to_string(answer->abi),
       "set abi = GRPO_ABI: the host compares");
}

struct Process {
  std::string folder, locale;
  int rounding = 0;
  bool keeps_small = false;  // numbers under 2^-126 are not flushed to zero
  mode_t mask = 0;
  std::vector<void (*)(int)> handlers;
};

Process process() {
  Process p;
  char folder[4096];
  p.folder = ::getcwd(folder, sizeof folder) ? folder : "";
  p.locale = ::setlocale(LC_ALL, nullptr);
  p.rounding = ::fegetround();
  volatile float small = 1e-38f, tenth = 0.01f;
  volatile float product = small * tenth;
  p.keeps_small = product != 0;
  p.mask = ::umask(0);
  ::umask(p.mask);
  for (int number = 1; number < NSIG; ++number) {
    struct sigaction a {};
    p.handlers.push_back(::sigaction(number, nullptr, &a) == 0 ? a.sa_handler : SIG_DFL);
  }
  return p;
}

void quiet(Subject& s) {
  const Process before = process();
  auto* entry = entry_of(s);
  grpo_host host = made<grpo_host>();
  host.header_revision = GRPO_HEADER_REVISION;
  host.abi_min = host.abi_max = GRPO_ABI;
  host.name = "grpo-plugin-check";
  host.refuse = keep_refusal;
  s.at("grpo_plugin_entry");
  entry(&host);
  const Process after = process();
  const std::string begin = "loading it ", way = "a plugin leaves the process as it is: other plugins live in it";
  need(after.keeps_small == before.keeps_small && after.rounding == before.rounding,
       begin + "changed how the processor rounds (small numbers become 0, or another rounding mode)",
       "link without -ffast-math or -Ofast: GCC adds start-up code that sets this for everybody");
  for (int number = 1; number < NSIG; ++number)
    need(after.handlers[static_cast<std::size_t>(number - 1)] == before.handlers[static_cast<std::size_t>(number - 1)],
         begin + "took the signal " + std::to_string(number), way);
  need(after.folder == before.folder, begin + "changed the current folder", way);
  need(after.locale == before.locale, begin + "changed the locale to " + after.locale, way);
  need(after.mask == before.mask, begin + "changed the umask", way);
}

void ends(Subject& s) { loads(s); }  // then the process ends: child.cpp, validate.cpp

constexpr Check all[] = {
    {"library.manifest", "library", "the manifest is readable and complete", manifest},
    {"library.scan", "library", "scanning runs none of its code and takes under 5 ms", scan},
    {"library.symbols", "library", "it exports grpo_plugin_entry and nothing else", symbols},
    {"library.loads", "library", "it loads, and gives the components that its manifest lists", loads},
    {"library.abi", "library", "a host of another ABI gets a refusal or an honest answer", abi},
    {"library.quiet", "library", "loading leaves rounding, signals, locale and folder of the process alone", quiet},
    {"library.exit", "library", "the process that holds it ends well", ends},
};

}  // namespace

std::span<const Check> library_checks() { return all; }

}  // namespace grpo::plugins::conformance
