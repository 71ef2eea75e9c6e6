// grpo.reward/1
#include <algorithm>
#include <atomic>
#include <chrono>
#include <random>
#include <thread>

#include "reward_bench.hpp"

namespace grpo::plugins::conformance {
namespace {

const char* const same_sample = "the same sample gets the same score, whatever else is in the batch or came before";

std::uint32_t flags(Subject& s) { return s.table_as<grpo_reward>()->flags; }

// Batches that the flags allow: whole, by groups, or as one likes.
std::vector<std::vector<Order>> splits(const Rollout& rollout, std::uint32_t flags) {
  std::vector<std::vector<Order>> out;
  std::vector<Order> groups(rollout.rows.size());
  for (std::size_t i = 0; i < rollout.samples.size(); ++i) groups[rollout.samples[i].row].push_back(i);
  out.push_back(groups);
  out.push_back({groups.rbegin(), groups.rend()});
  if (flags & GRPO_REWARD_WHOLE_GROUPS) return out;
  std::vector<Order> single;
  for (std::size_t i = 0; i < rollout.samples.size(); ++i) single.push_back({i});
  out.push_back(single);
  std::vector<Order> dealt(4);  // groups torn apart
  for (std::size_t i = 0; i < rollout.samples.size(); ++i) dealt[i % 4].push_back(i);
  out.push_back(dealt);
  return out;
}

void answers(Subject& s) {
  Opened handle(s);
  const Rollout rollout = usual_rollout();
  const Answers got = score(s, handle, rollout, all_of(rollout));
  int ok = 0, other = 0;
  for (const auto& [i, a] : got) ++(a.status == GRPO_SAMPLE_OK ? ok : other);
  s.note = std::to_string(ok) + " scores, " + std::to_string(other) + " samples with another status";
}

void determinism(Subject& s) {
  const Rollout rollout = usual_rollout();
  Opened first(s), second(s);
  const Answers expected = score(s, first, rollout, all_of(rollout));
  need_same(score(s, first, rollout, all_of(rollout)), expected, "the second time", same_sample);
  need_same(score(s, second, rollout, all_of(rollout)), expected, "from another handle", same_sample);
}

void order(Subject& s) {
  Opened handle(s);
  const Rollout rollout = usual_rollout();
  const Answers expected = score(s, handle, rollout, all_of(rollout));
  std::mt19937 random(1);
  for (int i = 0; i < s.times(20, 4); ++i) {
    Order mixed = all_of(rollout);
    std::shuffle(mixed.begin(), mixed.end(), random);
    need_same(score(s, handle, rollout, mixed), expected, "in another order", same_sample);
  }
}

void split(Subject& s) {
  if (flags(s) & GRPO_REWARD_WHOLE_BATCH)
    throw Skipped{"it wants all samples of a step at once (GRPO_REWARD_WHOLE_BATCH)"};
  Opened handle(s);
  const Rollout rollout = usual_rollout();
  const Answers expected = score(s, handle, rollout, all_of(rollout));
  for (const auto& batches : splits(rollout, flags(s)))
    for (const Order& batch : batches)
      need_same(
          score(s, handle, rollout, batch), expected, "in a batch of " + std::to_string(batch.size()),
          flags(s) & GRPO_REWARD_WHOLE_GROUPS
              ? std::string(same_sample)
              : std::string(same_sample) + "; one that compares the samples of a prompt sets GRPO_REWARD_WHOLE_GROUPS");
}

// What the threads found, of the first that found something.
void under_load(Subject& s, const std::vector<const Opened*>& handles, const std::string& when) {
  const Rollout rollout = usual_rollout();
  const Answers expected = score(s, *handles[0], rollout, all_of(rollout));
  std::vector<std::string> why(handles.size()), way(handles.size());
  std::vector<std::thread> threads;
  std::atomic<int> ready{0};
  for (std::size_t t = 0; t < handles.size(); ++t)
    threads.emplace_back([&, t] {
      std::mt19937 random(static_cast<unsigned>(t));
      ++ready;
      while (ready < static_cast<int>(handles.size())) std::this_thread::yield();
      try {
        for (int i = 0; i < s.times(40, 10); ++i) {
          Order mixed = all_of(rollout);
          std::shuffle(mixed.begin(), mixed.end(), random);
          need_same(score(s, *handles[t], rollout, mixed), expected, when,
                    "no state that two calls share without a lock");
        }
      } catch (const Failed& e) {
        why[t] = e.why;
        way[t] = e.way_out;
      }
    });
  for (std::thread& t : threads) t.join();
  for (std::size_t t = 0; t < why.size(); ++t) need(why[t].empty(), why[t], way[t]);
}

void concurrent(Subject& s) {
  if (!(flags(s) & GRPO_REWARD_CONCURRENT)) throw Skipped{"it does not say GRPO_REWARD_CONCURRENT"};
  Opened handle(s);
  under_load(s, {&handle, &handle, &handle, &handle}, "when four threads score on one handle");
}

void handles(Subject& s) {
  Opened a(s), b(s), c(s);
  under_load(s, {&a, &b, &c}, "when other handles score at the same time");
}

// [any thread]: not the one that opened it.
void any_thread(Subject& s) {
  Opened handle(s);
  const Rollout rollout = usual_rollout();
  const Answers expected = score(s, handle, rollout, all_of(rollout));
  for (int i = 0; i < 3; ++i) {
    Answers got;
    Failed failure;
    std::thread([&] {
      try {
        got = score(s, handle, rollout, all_of(rollout));
      } catch (const Failed& e) {
        failure = e;
      }
    }).join();
    need(failure.why.empty(), failure.why, failure.way_out);
    need_same(got, expected, "on another thread than open's", "score may come from any thread: no thread_local state");
  }
}

void text(Subject& s) {
  Opened handle(s);
  const Rollout rollout = odd_rollout(s.quick());
  score(s, handle, rollout, all_of(rollout));
}

void columns(Subject& s) {
  Opened handle(s);
  const Rollout bare = bare_rollout();
  score(s, handle, bare, all_of(bare));
  Rollout other = usual_rollout();  // the same names, other types
  int number = 0;
  for (Rollout::Row& r : other.rows) {
    ++number;
    for (auto& [key, value] : r.columns.items())
      value = value.is_string()  ? nlohmann::json(number)
              : value.is_array() ? nlohmann::json(nullptr)
                                 : nlohmann::json("text");
  }
  score(s, handle, other, all_of(other));
}

void fields(Subject& s) {
  Opened handle(s);
  const Rollout rollout = usual_rollout();
  const Answers expected = score(s, handle, rollout, all_of(rollout));
  for (const Fields how : later_hosts(s))
    need_same(score(s, handle, rollout, all_of(rollout), {.fields = how}), expected,
              "when the host's structs are longer than these headers say",
              "do not look at fields that your headers do not have; structs are never copied whole");
}

// Guard bytes, read-only inputs and unmapped remains are in every call; here over sizes and repetitions.
void arrays(Subject& s) {
  Opened handle(s);
  const Rollout rollout = usual_rollout();
  const std::uint32_t f = flags(s);
  const Answers expected = score(s, handle, rollout, all_of(rollout));
  const auto batches = f & GRPO_REWARD_WHOLE_BATCH ? std::vector<Order>{all_of(rollout)} : splits(rollout, f).back();
  for (int i = 0; i < 3; ++i)
    for (const Order& batch : batches) score(s, handle, rollout, batch);
  need_same(
      score(s, handle, rollout, all_of(rollout), {.no_components = true}),
      [&] {
        Answers out = expected;
        for (auto& [i, a] : out) a.components.clear();
        return out;
      }(),
      "when result->component gives NULL", "a component's column may be NULL: then only the score is written");
}

void growth(Subject& s) {
  Opened handle(s);
  const Rollout rollout = usual_rollout();
  const int n = need_no_growth(s, s.times(400, 60), "scoring", [&] { score(s, handle, rollout, all_of(rollout)); });
  s.note = std::to_string(n) + " batches";
}

void no_memory(Subject& s) {
  Opened handle(s);
  const Rollout rollout = usual_rollout();
  score(s, handle, rollout, all_of(rollout), {.no_memory = true});
  score(s, handle, rollout, all_of(rollout));
}

// Ten thousand samples; after 30 ms nobody wants them any more. Time is counted in turns of a sleeping thread, so that
// a machine that stands still does not count.
void cancel(Subject& s) {
  const int bound = s.times(300, 120);  // turns of 10 ms
  Opened handle(s);
  Rollout large = usual_rollout();
  const auto few = large.samples;
  while (large.samples.size() < (s.quick() ? 1000u : 10'000u))
    large.samples.insert(large.samples.end(), few.begin(), few.end());
  Caller caller;
  std::atomic<bool> done{false};
  std::atomic<int> turns{0};
  std::thread watch([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    caller.stop = true;
    while (!done) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      ++turns;
    }
  });
  Failed failure;
  try {
    score(s, handle, large, all_of(large), {.caller = &caller});
  } catch (const Failed& e) {
    failure = e;
  }
  done = true;
  watch.join();
  need(failure.why.empty(), "when it is cancelled: " + failure.why, failure.way_out);
  need(turns <= bound, "it came back " + std::to_string(turns / 100.0).substr(0, 4) + " s after it was cancelled",
       "ask call->cancelled once a sample, and inside anything that can run long");
  Caller late;  // cancelled before it began
  late.stop = true;
  score(s, handle, usual_rollout(), all_of(usual_rollout()), {.caller = &late});
  const Answers again = score(s, handle, usual_rollout(), all_of(usual_rollout()));  // and it goes on working
  s.note = caller.asked() ? "asked cancelled() " + std::to_string(caller.asked()) + " times"
                          : "it never asked, and was quick";
}

constexpr Check all[] = {
    {"reward.answers", "reward", "every sample gets a finite score or a status, errors with a message", answers},
    {"reward.determinism", "reward", "the same batch gets the same scores, from any handle", determinism},
    {"reward.order", "reward", "the order of the samples does not matter", order},
    {"reward.split", "reward", "how a step is cut into batches, within its flags, does not matter", split},
    {"reward.concurrent", "reward", "GRPO_REWARD_CONCURRENT: threads on one handle get the same scores", concurrent},
    {"reward.handles", "reward", "handles work at the same time without disturbing each other", handles},
    {"reward.any_thread", "reward", "score works on any thread, not only open's", any_thread},
    {"reward.text", "reward", "empty and huge texts, NUL bytes and any Unicode get an answer", text},
    {"reward.columns", "reward", "missing truth, messages and columns, or columns of other types, get an answer",
     columns},
    {"reward.fields", "reward", "longer structs of a later host change nothing", fields},
    {"reward.arrays", "reward", "it writes within the result's arrays, and uses nothing of a call after it", arrays},
    {"reward.growth", "reward", "scoring leaves no memory, thread or descriptor behind", growth},
    {"reward.no_memory", "reward", "call->alloc may give NULL", no_memory},
    {"reward.cancel", "reward", "a cancelled call comes back soon", cancel},
};

}  // namespace

std::span<const Check> reward_checks() { return all; }

}  // namespace grpo::plugins::conformance
