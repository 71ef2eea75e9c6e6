// reward_bench.hpp: samples for a reward that nobody knows, passed in arrays that notice misuse, and its answers.
#ifndef GRPO_VALIDATE_REWARD_BENCH_HPP
#define GRPO_VALIDATE_REWARD_BENCH_HPP

#include <grpo/reward.h>

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "opened.hpp"

namespace grpo::plugins::conformance {

// Rows with their samples; what they hold is made up, with answers as rewards look for them.
struct Rollout {
  struct Row {
    std::string prompt, messages, truth;
    nlohmann::json columns;  // an object
  };
  struct Sample {
    std::size_t row;
    std::int64_t index;
    std::string text;
    std::int32_t finish;
  };
  std::vector<Row> rows;
  std::vector<Sample> samples;
};
Rollout usual_rollout();          // groups of prompts with right, wrong and odd answers
Rollout odd_rollout(bool quick);  // empty, huge, NUL bytes, all kinds of characters
Rollout bare_rollout();           // no truth, no messages, no columns

using Order = std::vector<std::size_t>;  // of samples
Order all_of(const Rollout& rollout);

struct Answer {
  double score;
  std::int32_t status;
  std::string message;
  std::map<std::string, double> components;
  bool same_as(const Answer& other) const;  // score, status and components, to the bit
  std::string text() const;
};
using Answers = std::map<std::size_t, Answer>;  // by sample

struct Scoring {
  Fields fields = Fields::plain;
  bool no_memory = false, no_components = false;
  Caller* caller = nullptr;  // instead of one made for the call; not ended
};

// One call of score with those samples, in that order. All arrays are checked afterwards and out of reach. Throws
// Failed: the call failed, wrote where it must not, left a sample without an answer, or gave one that is none.
Answers score(Subject& subject, const Opened& handle, const Rollout& rollout, const Order& order,
              const Scoring& how = {});
// Throws Failed if a sample of `got` differs from `expected`. when: "in another order".
void need_same(const Answers& got, const Answers& expected, const std::string& when, const std::string& way_out);

}  // namespace grpo::plugins::conformance

#endif
