// wrap.hpp: a component that passes every call on to a sound one in another library, and with the option "fault" does
// one thing wrong on the way.
#ifndef GRPO_TESTS_VALIDATE_WRAP_HPP
#define GRPO_TESTS_VALIDATE_WRAP_HPP

#include <dlfcn.h>
#include <grpo/plugin.h>

#include <cstdlib>
#include <string>

// The library's one component. The library stays loaded.
inline const grpo_component* inner_component(const std::string& path) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) return nullptr;
  auto* entry = reinterpret_cast<grpo_plugin_entry_fn*>(dlsym(library, "grpo_plugin_entry"));
  if (!entry) return nullptr;  // "" is the program itself
  static const grpo_host host = {sizeof(grpo_host),
                                 GRPO_HEADER_REVISION,
                                 GRPO_ABI,
                                 GRPO_ABI,
                                 "wrap",
                                 [](const grpo_host*, const char*, int64_t) {}};
  return entry(&host)->components[0];
}

// What wrappers of all kinds share; the first member of each.
template <class Table>
struct Wrapped {
  const Table* table = nullptr;
  const grpo_component* component = nullptr;  // of the sound one
  void* inner = nullptr;
  std::string fault;

  bool is(const char* what) const { return fault == what; }

  grpo_status open(const grpo_call* call, const grpo_options* options) {
    grpo_str text{"", 0};
    options->text(options, "fault", &text);
    fault.assign(text.data, std::size_t(text.size));
    if (!options->text(options, "inner", &text))
      return grpo_fail(call, GRPO_STATUS_INVALID, "the option inner is missing");
    component = inner_component(text.data);
    if (!component) return grpo_fail(call, GRPO_STATUS_FAILED, "the library that inner names cannot be loaded");
    table = static_cast<const Table*>(component->table);
    // The sound one gets options of its own: the defaults, which its getters then all leave alone.
    static const auto number = [](const grpo_options*, const char*, double*) -> int32_t { return 0; };
    static const auto integer = [](const grpo_options*, const char*, int64_t*) -> int32_t { return 0; };
    static const auto no_text = [](const grpo_options*, const char*, grpo_str*) -> int32_t { return 0; };
    grpo_options defaults{};
    defaults.struct_size = sizeof defaults;
    defaults.json = {"{}", 2};
    defaults.number = number;
    defaults.integer = integer;
    defaults.text = no_text;
    defaults.component = component;
    return table->open(call, &defaults, &inner);
  }
};

inline void* volatile lost_memory;
inline void leak() { lost_memory = std::malloc(200); }

#endif
