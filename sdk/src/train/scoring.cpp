#include "grpo/sdk/train/scoring.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <list>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <thread>
#include <unordered_set>

#include "grpo/sdk/error.hpp"
#include "grpo/sdk/plugins/left_behind.hpp"
#include "grpo/sdk/report/console.hpp"

namespace grpo::train {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// A reward over some groups: the scores go into the samples, the rest into here.
struct Piece {
  std::size_t reward;
  std::vector<Group*> groups;
};

// A call under way.
struct Running {
  std::size_t reward;
  Clock::time_point since;
  bool told = false;  // that it is late
};
constexpr double patience = 1;  // seconds after the time limit
constexpr const char* way_out =
    ": it does not ask call->cancelled often enough. `isolate: true` would end it (docs/isolation.md)";

std::chrono::nanoseconds grace_of(const WeightedReward& reward) {
  return reward.grace_seconds > 0 ? plugins::duration_of(reward.grace_seconds)
                                  : plugins::usual_grace(plugins::duration_of(reward.timeout_seconds));
}

std::string seconds_text(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g s", seconds);
  return text;
}

// What one reward did in a step.
struct Tally {
  std::vector<double> scores;
  std::map<std::string, std::vector<double>> components;
  std::int64_t not_applicable = 0, errors = 0, timeouts = 0;
  double seconds = 0;
};

plugins::RewardBatch batch_of(const std::vector<Group*>& groups, std::int64_t step, const plugins::ColumnTypes& types) {
  plugins::RewardBatch batch(step, types);
  for (const Group* group : groups) {
    const Prompt& p = group->prompt;
    const auto row = batch.add_row({.prompt = p.text,
                                    .messages = p.messages,
                                    .ground_truth = p.ground_truth,
                                    .prompt_ids = p.ids,
                                    .columns = p.record.get()});
    for (std::size_t i = 0; i < group->samples.size(); ++i) {
      const Sample& s = group->samples[i];
      batch.add_sample(
          {.row = row, .index = static_cast<std::int64_t>(i), .completion = s.text, .finish = s.finish, .ids = s.ids});
    }
  }
  return batch;
}

}  // namespace

struct Scorer::State {
  std::vector<WeightedReward> rewards;
  plugins::ColumnTypes own_types, types;  // types: of the step
  OnRewardError on_error;

  std::mutex mutex;
  std::condition_variable work_ready, work_done;
  std::deque<Piece> queue;
  std::vector<bool> busy;         // [reward] that takes one call at a time and has it
  std::vector<bool> reopening;    // [reward] that lost its handle
  std::vector<bool> whole_batch;  // [reward]
  std::string lost;               // why a reward cannot be called any more
  std::list<Running> running;
  std::int64_t unfinished = 0;
  bool closing = false;
  std::vector<std::thread> threads;

  std::int64_t step = 0;
  double waited = 0;  // in this step
  std::vector<Group*> groups;
  std::vector<Tally> tallies;
  std::vector<std::string> errors;
  std::set<std::string> complaints;              // without the row
  std::unordered_set<const Sample*> incomplete;  // a reward with a weight failed

  void run();
  std::deque<Piece>::iterator next_piece();
  void score(const Piece& piece, plugins::Runner& runner);
  std::optional<plugins::RewardScores> call(const Piece& piece, const std::shared_ptr<plugins::Reward>& handle,
                                            plugins::Runner* runner) const;
  void leave(std::size_t reward, const std::shared_ptr<plugins::Reward>& handle);
  void enqueue(Piece piece);
  void wait();
  void name_late_calls();
};

Scorer::Scorer(std::vector<WeightedReward> rewards, plugins::ColumnTypes types, OnRewardError on_error, int threads)
    : state_(std::make_unique<State>()) {
  state_->rewards = std::move(rewards);
  state_->own_types = std::move(types);
  state_->busy.assign(state_->rewards.size(), false);
  state_->reopening.assign(state_->rewards.size(), false);
  for (const WeightedReward& r : state_->rewards) state_->whole_batch.push_back(r.reward->whole_batch());
  state_->on_error = on_error;
  for (int i = 0; i < std::max(1, threads); ++i) state_->threads.emplace_back([s = state_.get()] { s->run(); });
}

Scorer::~Scorer() {
  {
    std::lock_guard lock(state_->mutex);
    state_->closing = true;
  }
  state_->work_ready.notify_all();
  for (auto& thread : state_->threads) thread.join();
}

const std::vector<WeightedReward>& Scorer::rewards() const { return state_->rewards; }

void Scorer::State::run() {
  plugins::Runner runner;
  for (;;) {
    Piece piece;
    {
      std::unique_lock lock(mutex);
      auto next = queue.end();
      work_ready.wait(lock, [&] { return (next = next_piece()) != queue.end() || (closing && queue.empty()); });
      if (next == queue.end()) return;
      piece = std::move(*next);
      queue.erase(next);
      busy[piece.reward] = !rewards[piece.reward].reward->concurrent();
    }
    score(piece, runner);
    {
      std::lock_guard lock(mutex);
      busy[piece.reward] = false;
      --unfinished;
    }
    work_ready.notify_all();
    work_done.notify_all();
  }
}

// The first that need not wait: a reward that takes one call at a time must not hold up the others' threads.
std::deque<Piece>::iterator Scorer::State::next_piece() {
  return std::find_if(queue.begin(), queue.end(),
                      [this](const Piece& p) { return !busy[p.reward] && !reopening[p.reward]; });
}

// Nothing: the call was left behind. Without a runner it is waited for.
std::optional<plugins::RewardScores> Scorer::State::call(const Piece& piece,
                                                         const std::shared_ptr<plugins::Reward>& handle,
                                                         plugins::Runner* runner) const {
  const WeightedReward& reward = rewards[piece.reward];
  auto batch = batch_of(piece.groups, step, types);
  const plugins::ScoreSettings settings{.timeout = plugins::duration_of(reward.timeout_seconds)};
  if (!runner) return handle->score(batch, settings);
  return plugins::score_or_leave(*runner, handle, std::move(batch), settings, grace_of(reward));
}

// Its handle is not called again: the reward gets another one, in a process of its own.
void Scorer::State::leave(std::size_t r, const std::shared_ptr<plugins::Reward>& handle) {
  WeightedReward& reward = rewards[r];
  const std::string what = "reward '" + reward.name + "' has not come back " +
                           seconds_text(std::chrono::duration<double>(grace_of(reward)).count()) +
                           " after its limit of " + seconds_text(reward.timeout_seconds) +
                           ": the call is left behind, and its samples count as timed out. ";
  {
    std::lock_guard lock(mutex);
    if (reward.reward != handle || reopening[r]) return;  // another call of the same handle has seen to it
    reopening[r] = true;
  }
  std::shared_ptr<plugins::Reward> other;
  std::string problem = "it cannot be opened in a process of its own here";
  try {
    if (reward.reopen) other = reward.reopen();
  } catch (const std::exception& e) {
    problem = "in a process of its own it does not open: " + std::string(e.what());
  }
  report::log(report::Level::warning,
              what + (other ? "From now on it runs in a process of its own, as with `isolate: true`"
                            : "The run ends after this step's rewards, since " + problem));
  std::lock_guard lock(mutex);
  reopening[r] = false;
  if (other) {
    reward.reward = std::move(other);
    reward.isolated = true;
  } else if (lost.empty()) {
    lost = what + "It cannot be called again, and " + problem;
  }
}

void Scorer::State::score(const Piece& piece, plugins::Runner& runner) {
  WeightedReward& reward = rewards[piece.reward];
  const auto start = Clock::now();
  std::list<Running>::iterator mine;
  std::shared_ptr<plugins::Reward> handle;
  bool isolated = false, no_more = false;
  {
    std::lock_guard lock(mutex);
    handle = reward.reward;
    isolated = reward.isolated;
    no_more = !lost.empty();
    mine = running.insert(running.end(), Running{piece.reward, start});
  }
  std::optional<plugins::RewardScores> scores;
  std::string failure;
  bool left = false;
  try {
    if (no_more) throw Error("it is not called: a reward was lost");
    scores = call(piece, handle, isolated || reward.timeout_seconds <= 0 ? nullptr : &runner);
    left = !scores;
  } catch (const std::exception& e) {
    failure = e.what();
  }
  const double seconds = seconds_since(start);
  if (left) {
    leave(piece.reward, handle);
    failure = "it did not come back, and was left behind";
  }

  std::lock_guard lock(mutex);
  running.erase(mine);
  if (!isolated && !left && reward.timeout_seconds > 0 && seconds > reward.timeout_seconds + patience)
    report::log(report::Level::warning, "reward '" + reward.name + "' came back " +
                                            seconds_text(seconds - reward.timeout_seconds) + " after its limit of " +
                                            seconds_text(reward.timeout_seconds) + way_out);
  Tally& tally = tallies[piece.reward];
  tally.seconds += seconds;
  const auto failed = [&](const Group& group, const Sample& sample, const std::string& text) {
    if (reward.weight != 0) incomplete.insert(&sample);
    const std::string line = "reward '" + reward.name + "': " + text;
    if (errors.size() < 20 && complaints.insert(line).second)
      errors.push_back(line + " (first at row " + std::to_string(group.prompt.row) + " of the data)");
  };
  std::size_t i = 0;
  for (Group* group : piece.groups)
    for (Sample& sample : group->samples) {
      const auto at = i++;
      if (!failure.empty()) {
        ++(left ? tally.timeouts : tally.errors);
        failed(*group, sample, failure);
        continue;
      }
      switch (scores->status[at]) {
        case GRPO_SAMPLE_OK:
          sample.scores[piece.reward] = scores->score[at];
          tally.scores.push_back(scores->score[at]);
          break;
        case GRPO_SAMPLE_NOT_APPLICABLE:
          ++tally.not_applicable;
          break;
        case GRPO_SAMPLE_TIMEOUT:
          ++tally.timeouts;
          failed(*group, sample, scores->message[at]);
          break;
        default:
          ++tally.errors;
          failed(*group, sample, scores->message[at]);
      }
    }
  if (!scores) return;
  for (const auto& [name, column] : scores->components) {
    auto& all = tally.components[name];
    all.insert(all.end(), column.begin(), column.end());
  }
}

// Calls that nobody can end from here; each is named once.
void Scorer::State::name_late_calls() {
  for (Running& call : running) {
    const WeightedReward& reward = rewards[call.reward];
    const double late = seconds_since(call.since) - reward.timeout_seconds;
    if (call.told || reward.isolated || reward.timeout_seconds <= 0 || late < patience) continue;
    call.told = true;
    report::log(report::Level::warning, "reward '" + reward.name + "' has not come back " + seconds_text(late) +
                                            " after its limit of " + seconds_text(reward.timeout_seconds) +
                                            ", and the step waits for it" + way_out);
  }
}

void Scorer::State::enqueue(Piece piece) {
  {
    std::lock_guard lock(mutex);
    queue.push_back(std::move(piece));
    ++unfinished;
  }
  work_ready.notify_one();
}

void Scorer::begin(std::int64_t step, const plugins::ColumnTypes* types) {
  std::lock_guard lock(state_->mutex);
  state_->step = step;
  state_->waited = 0;
  state_->types = types ? *types : state_->own_types;
  state_->groups.clear();
  state_->errors.clear();
  state_->complaints.clear();
  state_->incomplete.clear();
  state_->tallies.assign(state_->rewards.size(), {});
}

void Scorer::add(Group& group) {
  for (Sample& sample : group.samples) sample.scores.assign(state_->rewards.size(), no_value);
  {
    std::lock_guard lock(state_->mutex);
    state_->groups.push_back(&group);
  }
  for (std::size_t r = 0; r < state_->rewards.size(); ++r)
    if (!state_->whole_batch[r]) state_->enqueue({r, {&group}});
}

// Until all that was enqueued is done; then the samples get their rewards.
void Scorer::State::wait() {
  const auto start = Clock::now();
  std::unique_lock lock(mutex);
  while (!work_done.wait_for(lock, std::chrono::milliseconds(500), [this] { return unfinished == 0; }))
    name_late_calls();
  if (!lost.empty()) throw RewardLost(lost);
  waited += seconds_since(start);
  for (Group* group : groups)
    for (Sample& sample : group->samples) {
      double sum = 0;
      bool any = false;
      for (std::size_t r = 0; r < rewards.size(); ++r)
        if (rewards[r].weight != 0 && !std::isnan(sample.scores[r]))
          sum += rewards[r].weight * sample.scores[r], any = true;
      sample.reward = any && !incomplete.contains(&sample) ? sum : no_value;
    }
}

void Scorer::settle() { state_->wait(); }

bool Scorer::wants_whole_batch() const {
  return std::any_of(state_->whole_batch.begin(), state_->whole_batch.end(), [](bool wants) { return wants; });
}

ScoreReport Scorer::finish() {
  State& s = *state_;
  for (std::size_t r = 0; r < s.rewards.size(); ++r)
    if (s.whole_batch[r] && !s.groups.empty()) s.enqueue({r, s.groups});
  s.wait();

  ScoreReport report;
  std::lock_guard lock(s.mutex);
  report.waited = s.waited;
  report.errors = s.errors;
  std::int64_t failed = 0;
  for (std::size_t r = 0; r < s.rewards.size(); ++r) {
    const Tally& tally = s.tallies[r];
    const std::string prefix = "rewards/" + s.rewards[r].name + "/";
    const auto summary = report::summarize(tally.scores);
    const auto known = [&](double value) { return summary.n > 0 ? value : no_value; };
    report.metrics.set(prefix + "mean", known(summary.mean));
    report.metrics.set(prefix + "std", known(summary.std));
    report.metrics.set(prefix + "min", known(summary.min));
    report.metrics.set(prefix + "max", known(summary.max));
    report.metrics.set(prefix + "na", static_cast<double>(tally.not_applicable));
    report.metrics.set(prefix + "errors", static_cast<double>(tally.errors));
    report.metrics.set(prefix + "timeouts", static_cast<double>(tally.timeouts));
    report.metrics.set(prefix + "seconds", tally.seconds);
    for (const auto& [name, column] : tally.components) {
      const bool taken = report.metrics.find(prefix + name).has_value();  // "mean", say: the host's own stays
      const auto component = report::summarize(column);
      report.metrics.set(prefix + (taken ? "component/" : "") + name, component.n > 0 ? component.mean : no_value);
    }
    report.seconds += tally.seconds;
    failed += tally.errors + tally.timeouts;
  }
  if (failed && s.on_error == OnRewardError::stop)
    throw Error(report.errors.empty() ? "a reward failed"
                                      : report.errors.front() +
                                            "\n  algorithm.on_reward_error: drop_sample goes on without such samples");
  return report;
}

}  // namespace grpo::train
