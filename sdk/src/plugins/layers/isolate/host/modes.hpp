// modes.hpp: the two processes that grpo-plugin-host can be, and the descriptors that they find open.
#ifndef GRPO_PLUGINS_ISOLATE_MODES_HPP
#define GRPO_PLUGINS_ISOLATE_MODES_HPP

#include "limits.hpp"

namespace grpo::plugins::isolate {

// Of the process that watches: reports to the host on 3; 4 is passed on.
inline constexpr int report_fd = 3, socket_fd = 4;
int supervise(int host, const Limits& limits);  // host: its pid

// Of the process that runs the plugin: talks to the host on 3.
inline constexpr int work_fd = 3;
inline constexpr int lost_connection = 121;  // its exit status when the host cannot be reached
int work(int supervisor, const Limits& limits);

}  // namespace grpo::plugins::isolate

#endif
