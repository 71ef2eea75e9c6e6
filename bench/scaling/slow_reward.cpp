// slow: takes `seconds` a call, as a reward does that waits for another machine; scores the number of characters.
#include <chrono>
#include <grpo/reward.hpp>
#include <thread>

GRPO_MANIFEST({
  "name": "slow_reward", "version": "1.0.0", "licence": "MIT",
  "components": [{"interface": "grpo.reward/1", "name": "slow", "options": {
    "seconds": {"type": "number", "default": 0.1, "minimum": 0, "description": "what scoring one completion takes"}}}]
});

struct slow {
  double seconds;
  explicit slow(grpo::options o) : seconds(o.number("seconds", 0.1)) {}

  grpo::score operator()(const grpo::sample& s) const {
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
    return static_cast<double>(s.completion().size());
  }
};
GRPO_REWARD(slow, "slow");
