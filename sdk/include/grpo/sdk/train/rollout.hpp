// rollout.hpp: what one step works on: prompts, the completions sampled for them, their scores and advantages.
//
// Main idea. A Group is one prompt with its G samples; a rollout is a list of groups. The stages of a step fill it in
// order: the sampler gives ids and log-probabilities, the rewards give scores, the advantage turns scores into weights,
// the update reads them all.
#ifndef GRPO_SDK_TRAIN_ROLLOUT_HPP
#define GRPO_SDK_TRAIN_ROLLOUT_HPP

#include <cstdint>
#include <limits>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace grpo::train {

inline constexpr double no_value = std::numeric_limits<double>::quiet_NaN();

// A record of the dataset, ready for the model.
struct Prompt {
  std::int64_t row = 0;                          // in the dataset
  std::shared_ptr<const nlohmann::json> record;  // all its columns
  std::string messages;                          // the conversation as JSON; empty: the prompt is plain text
  std::string text;                              // as the model sees it
  std::string ground_truth;                      // empty: none
  std::vector<std::int32_t> ids;                 // [n_prompt], at least one
};

// One completion.
struct Sample {
  std::vector<std::int32_t> ids;  // exactly what was sampled, the stop token included
  std::vector<float> logprob;     // [ids] of the rollout, softmax(logits / temperature); empty: not known
  std::int32_t finish = 0;        // GRPO_FINISH_*
  std::string text;               // special tokens left out

  std::vector<double> scores;  // [reward] NaN: none
  double reward = no_value;    // weighted sum; NaN: no reward applies, the sample teaches nothing
  double advantage = 0;
  std::vector<double> token_advantage;  // [ids] in its place where it differs from token to token; else empty

  std::vector<float>
      old_logprob;  // [ids] by the training engine before this step's first update; empty: the same as now
  std::vector<float> reference_logprob;  // [ids] empty: no reference pass
  std::vector<std::uint8_t> accepted;  // [ids] 0: out of the loss, for model and sampler disagree; empty: all are in it
};

struct Group {
  Prompt prompt;
  std::vector<Sample> samples;  // [group size], in order of index
};

}  // namespace grpo::train

#endif
