// grpo-plugin-probe FILE: loads a plugin library and calls its entry, so that what goes wrong there goes wrong here and
// not in the host. Tells on descriptor 3 how far it came: "loaded", "done" or "refused". Started by the loader.
#include <dlfcn.h>
#include <grpo/plugin.h>
#include <unistd.h>

#include <cstring>

namespace {

void say(const char* step) {
  if (write(3, step, std::strlen(step)) < 0) _exit(2);
}

[[noreturn]] void end(const char* step) {
  say(step);
  _exit(0);  // destructors of the library are not this program's business
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    static const char usage[] =
        "grpo-plugin-probe FILE: used by the plugin loader to try a library in a process of its own\n";
    [[maybe_unused]] const ssize_t written = write(2, usage, sizeof usage - 1);
    return 2;
  }
  void* library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (!library) end("refused\n");
  say("loaded\n");
  auto* entry = reinterpret_cast<grpo_plugin_entry_fn*>(dlsym(library, "grpo_plugin_entry"));
  if (!entry) end("refused\n");
  grpo_host host{};
  host.struct_size = sizeof host;
  host.header_revision = GRPO_HEADER_REVISION;
  host.abi_min = GRPO_ABI;
  host.abi_max = GRPO_ABI;
  host.name = "grpo-plugin-probe";
  host.refuse = [](const grpo_host*, const char*, int64_t) {};
  end(entry(&host) ? "done\n" : "refused\n");
}
