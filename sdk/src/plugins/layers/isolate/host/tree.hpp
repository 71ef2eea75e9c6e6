// tree.hpp: a process and all that it has started, as /proc shows them.
#ifndef GRPO_PLUGINS_ISOLATE_TREE_HPP
#define GRPO_PLUGINS_ISOLATE_TREE_HPP

#include <sys/types.h>

#include <cstdint>

namespace grpo::plugins::isolate {

struct Tree {
  std::int64_t bytes = 0;      // resident, without what is shared
  std::int64_t processes = 0;  // below the first
};

// below: look at what it has started too, also what has since become this process's own child.
Tree look_at_tree(pid_t first, bool below);

// Kills `first` and everything that this process has below it, until nothing is left, and reaps it. *status: of
// `first`, as waitpid gives it.
void kill_tree(pid_t first, int* status);

}  // namespace grpo::plugins::isolate

#endif
