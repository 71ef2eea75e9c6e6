// collect.hpp: prompts in, scored groups out: the rollout, with the rewards running beside it.
#ifndef GRPO_SDK_TRAIN_COLLECT_HPP
#define GRPO_SDK_TRAIN_COLLECT_HPP

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "grpo/sdk/algorithm/objective.hpp"
#include "grpo/sdk/plugins/sampler.hpp"
#include "grpo/sdk/train/scoring.hpp"
#include "grpo/sdk/train/session.hpp"

namespace grpo::train {

struct RolloutOptions {
  std::shared_ptr<const plugins::Sampling> sampling;
  std::int64_t group_size = 1;
  std::uint64_t key = 0;   // prompt i draws with grpo_random_key(key, first + i); see random.h
  std::int64_t first = 0;  // of an evaluation in parts: the prompts before these
  std::int64_t step = 0;   // told to the rewards; 0 outside training
  bool train = false;      // the update that follows trains on the completions
  const plugins::ColumnTypes* column_types = nullptr;       // of these prompts' dataset; null: the scorer's own
  std::function<void(double done, double total)> progress;  // completions
  // In pieces: so many prompts at a time, each piece scored and handed on before the next is sampled. The completions
  // are the same.
  std::size_t prompts_per_piece = 0;  // 0: all at once
  std::function<void(std::span<Group> piece)> piece_done;
};

struct Rollout {
  std::vector<Group> groups;    // in the order of the prompts
  std::vector<Group> rejected;  // drawn too, but not trained on (dynamic_sampling.hpp)
  std::int64_t resamples = 0;   // draws after the first
  double kept_share = 1;        // of the prompts drawn: those worth training on
  ScoreReport scores;
  double seconds = 0;  // of generating
  std::int64_t completion_tokens = 0;
  // |log-probability under the distribution that was drawn from - the one that is trained on|, where a penalty or a
  // truncation parts them and the sampler tells both.
  algorithm::Mean truncation = {};
  double truncation_max = 0;
};

// What was drawn: groups, then rejected.
std::vector<const Group*> all_groups(const Rollout& rollout);
std::int64_t num_completions(const Rollout& rollout);  // of all of them

// Samples group_size completions of each prompt and scores them; a group goes to the rewards when its last completion
// arrives. The session's thread. Throws what the sampler or (under on_reward_error: stop) a reward throws.
Rollout collect(Session& session, Scorer& scorer, std::vector<Prompt> prompts, const RolloutOptions& options);

// Adds completions/*, prompt_length/* and the reward metrics of all that was drawn.
void add_rollout_metrics(const Rollout& rollout, report::Metrics& metrics);

}  // namespace grpo::train

#endif
