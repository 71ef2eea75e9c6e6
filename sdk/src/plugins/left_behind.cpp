#include "grpo/sdk/plugins/left_behind.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <exception>
#include <thread>

namespace grpo::plugins {
namespace {

std::atomic<int> left{0};

RewardScores no_scores(std::int64_t n, std::int32_t status, const std::string& why) {
  RewardScores none;
  none.score.assign(static_cast<std::size_t>(n), std::nan(""));
  none.status.assign(static_cast<std::size_t>(n), status);
  none.message.assign(static_cast<std::size_t>(n), why);
  return none;
}

std::string in_seconds(std::chrono::nanoseconds time) {
  std::string text = std::to_string(std::chrono::duration<double>(time).count());
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text + " s";
}

}  // namespace

// Shared by the caller and the thread, so that either may be the last.
struct Runner::State {
  std::mutex mutex;
  std::condition_variable work, done;
  std::function<void()> job;  // empty: none
  bool ending = false, is_left = false;
  std::thread thread;

  void loop() {
    std::unique_lock lock(mutex);
    for (;;) {
      work.wait(lock, [this] { return ending || job; });
      if (!job) return;
      lock.unlock();
      job();
      lock.lock();
      std::function<void()> over;
      std::swap(over, job);
      const bool alone = is_left;
      lock.unlock();
      over = nullptr;  // may close a handle
      if (alone) {
        left.fetch_sub(1);
        return;
      }
      done.notify_all();
      lock.lock();
    }
  }
};

Runner::Runner() = default;

Runner::~Runner() {
  if (!state_) return;
  {
    std::lock_guard lock(state_->mutex);
    state_->ending = true;
  }
  state_->work.notify_all();
  state_->thread.join();
}

bool Runner::run(std::function<void()> job, std::chrono::nanoseconds patience) {
  if (!state_) {
    state_ = std::make_shared<State>();
    state_->thread = std::thread([s = state_] { s->loop(); });
  }
  std::unique_lock lock(state_->mutex);
  state_->job = std::move(job);
  state_->work.notify_all();
  // In short turns, each of which counts for its own length: a process that was stopped has kept nobody waiting.
  constexpr std::chrono::nanoseconds longest_turn = std::chrono::milliseconds(100);
  while (state_->job) {
    const auto turn = std::min(patience, longest_turn);
    if (state_->done.wait_for(lock, turn, [this] { return !state_->job; })) return true;
    patience -= turn;
    if (patience.count() > 0) continue;
    state_->is_left = true;
    left.fetch_add(1);
    state_->thread.detach();
    lock.unlock();
    state_.reset();
    return false;
  }
  return true;
}

int calls_left_behind() { return left.load(); }

std::optional<RewardScores> score_or_leave(Runner& runner, std::shared_ptr<Reward> reward, RewardBatch batch,
                                           const ScoreSettings& settings, std::chrono::nanoseconds grace) {
  struct Job {
    std::shared_ptr<Reward> reward;
    RewardBatch batch;
    ScoreSettings settings;
    RewardScores scores;
    std::exception_ptr error;
  };
  auto job = std::make_shared<Job>(Job{std::move(reward), std::move(batch), settings, {}, nullptr});
  const auto call = [job] {
    try {
      job->scores = job->reward->score(job->batch, job->settings);
    } catch (...) {
      job->error = std::current_exception();
    }
  };
  const auto patience = std::chrono::nanoseconds::max() - settings.timeout < grace ? std::chrono::nanoseconds::max()
                                                                                   : settings.timeout + grace;
  if (!runner.run(call, patience)) return std::nullopt;
  if (job->error) std::rethrow_exception(job->error);
  return std::move(job->scores);
}

std::chrono::nanoseconds usual_grace(std::chrono::nanoseconds timeout) {
  return std::max<std::chrono::nanoseconds>(timeout, std::chrono::seconds(5));
}

LeavableReward::LeavableReward(std::shared_ptr<Reward> reward, Settings settings)
    : settings_(std::move(settings)), reward_(std::move(reward)), leavable_(settings_.reopen != nullptr) {}

std::shared_ptr<Reward> LeavableReward::handle() const {
  const std::lock_guard lock(mutex_);
  return reward_;
}

RewardScores LeavableReward::score(RewardBatch batch, const ScoreSettings& settings) {
  std::unique_lock turn(turn_, std::defer_lock);
  if (!handle()->concurrent()) turn.lock();
  return score_watched(std::move(batch), settings);
}

RewardScores LeavableReward::score_watched(RewardBatch batch, const ScoreSettings& settings) {
  std::shared_ptr<Reward> handle;
  std::unique_ptr<Runner> runner;
  {
    const std::lock_guard lock(mutex_);
    if (!lost_.empty()) return no_scores(batch.samples(), GRPO_SAMPLE_ERROR, lost_);
    handle = reward_;
    if (leavable_ && settings.timeout.count() > 0) runner = take_runner();
  }
  if (!runner) return handle->score(batch, settings);
  const std::int64_t n = batch.samples();
  const auto grace = settings_.grace.value_or(usual_grace(settings.timeout));
  auto scores = score_or_leave(*runner, handle, std::move(batch), settings, grace);
  if (!scores) return no_scores(n, GRPO_SAMPLE_TIMEOUT, give_up(handle, settings.timeout, grace));
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(runner));
  return std::move(*scores);
}

// Returns what is told of the samples. Callers that come meanwhile wait for the other handle.
std::string LeavableReward::give_up(const std::shared_ptr<Reward>& handle, std::chrono::nanoseconds limit,
                                    std::chrono::nanoseconds grace) {
  const std::string what = handle->name() + ": did not come back " + in_seconds(grace) + " after the limit of " +
                           in_seconds(limit) + ", and was left behind";
  const std::lock_guard lock(mutex_);
  if (reward_ != handle || !lost_.empty()) return what;  // another call of the same handle has seen to it
  try {
    reward_ = settings_.reopen();
    leavable_ = false;
  } catch (const std::exception& e) {
    lost_ = what + "; in a process of its own it does not open: " + e.what();
  }
  if (settings_.warn) settings_.warn(lost_.empty() ? what + "; from now on it runs in a process of its own" : lost_);
  return what;
}

std::unique_ptr<Runner> LeavableReward::take_runner() {
  if (idle_.empty()) return std::make_unique<Runner>();
  auto runner = std::move(idle_.back());
  idle_.pop_back();
  return runner;
}

}  // namespace grpo::plugins
