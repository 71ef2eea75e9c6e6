// results.hpp: from the shared memory into the host's arrays. Whatever lies there was written by a stranger: each
// number is copied once and looked at afterwards.
#ifndef GRPO_PLUGINS_ISOLATE_RESULTS_HPP
#define GRPO_PLUGINS_ISOLATE_RESULTS_HPP

#include <grpo/host.h>
#include <grpo/reward.h>

#include <string>

#include "area.hpp"

namespace grpo::wire {
class Scored;
}

namespace grpo::plugins::isolate {

// No score, no status yet: what is there is of the call before.
void clear(const Outputs& out, std::int64_t n);
// scored: the plugin's answer; null: it gave none, and texts and components are left out.
void take_results(const Outputs& out, std::int64_t n, const wire::Scored* scored, const grpo_call* call,
                  const grpo_reward_result* result);
std::int64_t count_done(const Outputs& out, std::int64_t n);  // samples with a score or a status
void set_message(const grpo_call* call, const grpo_reward_result* result, std::int64_t sample, const std::string& text);
void add_metrics(const wire::Scored& scored, const grpo_metrics* metrics);

}  // namespace grpo::plugins::isolate

#endif
