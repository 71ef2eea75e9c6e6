#include "grpo/sdk/plugins/left_behind.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

namespace grpo::plugins {
namespace {

std::atomic<int> left{0};

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

}  // namespace grpo::plugins
