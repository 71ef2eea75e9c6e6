// loading.hpp: what a process tells about the library that it was started for.
#ifndef GRPO_PLUGINS_ISOLATE_LOADING_HPP
#define GRPO_PLUGINS_ISOLATE_LOADING_HPP

#include <cstdint>
#include <string>

#include "child.hpp"

namespace grpo::plugins::isolate {

struct LoadAnswer {
  std::uint32_t flags = 0, header_revision = 0;  // of the table, of the plugin
  std::string unprotected;                       // what this system does not offer
};

// Waits until the library is loaded. Throws grpo::Error: it was refused, or its process is gone.
LoadAnswer load_answer(Child& child, const IsolateSettings& settings);

}  // namespace grpo::plugins::isolate

#endif
