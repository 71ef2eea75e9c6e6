// left_behind.hpp: calls that can be left behind, because they never come back.
//
// Main idea. A thread that hangs in a plugin cannot be ended, only left. So a call that may hang runs on a thread kept
// for that, and owns all that it touches: the handle, the batch, the results, the services. When its patience is over,
// the caller goes on without it; nobody calls that handle again, and what the call owns lives until it comes back, or
// until the process ends.
//
//     LeavableReward reward(opened, {.reopen = <another handle, in a process of its own>});
//     RewardScores scores = reward.score(std::move(batch), {.timeout = 60s});
//
// or, where who calls has to see to more than the handle:
//
//     Runner runner;
//     auto scores = score_or_leave(runner, reward, std::move(batch), {.timeout = 60s}, 60s);
//     if (!scores) reward = <another handle, in a process of its own>;
//
// A program that ends while a call is left behind ends with _exit, after flushing: the destructors of the plugin's
// statics would run beside its code.
#ifndef GRPO_SDK_PLUGINS_LEFT_BEHIND_HPP
#define GRPO_SDK_PLUGINS_LEFT_BEHIND_HPP

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "grpo/sdk/plugins/reward.hpp"

namespace grpo::plugins {

// Runs one job after the other on a thread of its own. For one caller at a time.
class Runner {
 public:
  Runner();   // the thread starts with the first job
  ~Runner();  // ends the thread; not one that was left behind
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  // Runs the job and waits for it. False: it had not ended after `patience`, and was left behind with its thread; the
  // next run starts a new one. Time in which this process was stopped does not count. The job owns what it touches and
  // does not throw; it is destroyed on its thread.
  bool run(std::function<void()> job, std::chrono::nanoseconds patience);

 private:
  struct State;
  std::shared_ptr<State> state_;  // null: no thread
};

// Jobs that were left behind, in this process, and have not come back. [any thread]
int calls_left_behind();

// reward->score on the runner's thread. Nothing: it did not come back within settings.timeout, which must be over 0,
// and `grace` after that. settings.cancel lives as long as the process, or is null.
std::optional<RewardScores> score_or_leave(Runner& runner, std::shared_ptr<Reward> reward, RewardBatch batch,
                                           const ScoreSettings& settings, std::chrono::nanoseconds grace);

// How long after its limit a call is waited for: as long again, and five seconds at least.
std::chrono::nanoseconds usual_grace(std::chrono::nanoseconds timeout);

// A reward in this process that goes on in another one when a call of it was left behind.
class LeavableReward {
 public:
  struct Settings {
    std::function<std::shared_ptr<Reward>()> reopen = {};    // may throw; null: it cannot hang, it is waited for
    std::function<void(const std::string& text)> warn = {};  // of each handle that is given up; null: nobody is told
    std::optional<std::chrono::nanoseconds> grace = std::nullopt;  // none: usual_grace of the call's limit
  };
  LeavableReward(std::shared_ptr<Reward> reward, Settings settings);

  std::shared_ptr<Reward> handle() const;  // [any thread] that calls go to now

  // [any thread] As Reward::score. The samples of a call that is left behind are GRPO_SAMPLE_TIMEOUT. When there is no
  // other handle to go on with, those of all calls after it are GRPO_SAMPLE_ERROR with the reason.
  RewardScores score(RewardBatch batch, const ScoreSettings& settings);

 private:
  RewardScores score_watched(RewardBatch batch, const ScoreSettings& settings);
  std::string give_up(const std::shared_ptr<Reward>& handle, std::chrono::nanoseconds limit,
                      std::chrono::nanoseconds grace);
  std::unique_ptr<Runner> take_runner();

  const Settings settings_;
  mutable std::mutex mutex_;
  std::shared_ptr<Reward> reward_;
  bool leavable_;     // this handle's calls may be left
  std::string lost_;  // why there is no handle any more; empty: there is one
  std::vector<std::unique_ptr<Runner>> idle_;
  std::mutex turn_;  // of a reward that takes one call at a time: who waits for a call that hangs has not hung itself
};

}  // namespace grpo::plugins

#endif
