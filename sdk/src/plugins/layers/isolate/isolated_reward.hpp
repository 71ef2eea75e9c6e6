// isolated_reward.hpp: one open handle of an isolated reward: its processes, and calls into them.
#ifndef GRPO_PLUGINS_ISOLATE_ISOLATED_REWARD_HPP
#define GRPO_PLUGINS_ISOLATE_ISOLATED_REWARD_HPP

#include <grpo/reward.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "area.hpp"
#include "launcher.hpp"

namespace grpo::wire {
class Scored;
}

namespace grpo::plugins::isolate {

class IsolatedReward {
 public:
  // children: how many processes there may be.
  IsolatedReward(std::string program, Component what, const IsolateSettings& settings, int children);
  ~IsolatedReward();  // closes the plugin's handles, within close_seconds

  // The plugin's answer to open, through `call`. spare: a process that has loaded the library; may be null.
  grpo_status open(const grpo_call* call, const grpo_options* options, std::unique_ptr<Child> spare);
  grpo_status score(const grpo_call* call, const grpo_reward_batch* batch, const grpo_reward_result* result);

 private:
  // A place for a process, for one call at a time.
  struct Place {
    std::unique_ptr<Child> child;  // null: none runs
    Area area;
    bool area_is_new = false;
    bool busy = false;
    std::uint64_t calls = 0;
  };
  class Lease;

  Place* take(const grpo_call* call);
  void give(Place* place);
  grpo_status ready(Place& place, const grpo_call* call);
  grpo_status run(Place& place, const grpo_call* call, const grpo_reward_batch* batch,
                  const grpo_reward_result* result);
  void lost(Place& place, const std::string& how);
  grpo_status late(Place& place, const Outputs& out, const grpo_call* call, const grpo_reward_batch* batch,
                   const grpo_reward_result* result, bool cancelled);

  Launcher launcher_;
  std::mutex mutex_;
  std::condition_variable free_;
  std::vector<std::unique_ptr<Place>> places_;
};

}  // namespace grpo::plugins::isolate

#endif
