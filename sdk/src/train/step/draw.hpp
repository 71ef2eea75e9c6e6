// draw.hpp: a step's completions: the next prompts sampled, scored and shaped.
//
// More prompts are drawn where groups teach nothing (dynamic_sampling.hpp); where pieces are better than the whole
// (pieces.hpp), each goes through the model's backward pass as it comes.
#ifndef GRPO_SRC_TRAIN_STEP_DRAW_HPP
#define GRPO_SRC_TRAIN_STEP_DRAW_HPP

#include <string>
#include <vector>

#include "grpo/sdk/data/order.hpp"
#include "grpo/sdk/train/advantage.hpp"
#include "grpo/sdk/train/dynamic_sampling.hpp"
#include "grpo/sdk/train/overlong.hpp"
#include "grpo/sdk/train/update.hpp"
#include "step/screen.hpp"

namespace grpo::train {

struct Drawn {
  Rollout rollout;
  bool in_pieces = false;  // and gone through backward already: what is left is Updater::finish
};

class Drawing {
 public:
  // Of the run; all outlive this object. advantage is read at each step.
  struct Parts {
    Session& session;
    const PromptSet& prompts;
    data::EpochOrder& order;
    Scorer& scorer;
    Updater& updater;
    const AdvantageOptions& advantage;
    Screen& screen;
  };
  Drawing(const config::Config& config, const Parts& parts);

  // Of step number `step`, from 1; moves the order on. completion_length: what completions had in the step before, in
  // tokens, 0: not known. The session's thread. Throws what collect and Updater::accumulate throw.
  Drawn step(std::int64_t step, double completion_length);

  const std::vector<std::string>& reward_names() const { return reward_names_; }
  // What the draw itself has to tell: of completions and rewards, dynamic sampling, overlong completions.
  void add_metrics(const Rollout& rollout, report::Metrics& metrics) const;

 private:
  std::vector<Prompt> next_prompts(std::int64_t count);
  RolloutOptions rollout_options(std::int64_t step) const;
  std::size_t piece_of(const std::vector<Prompt>& prompts, double completion_length) const;
  void train_on(std::span<Group> piece);

  const config::Config& config_;
  const Parts parts_;
  const std::shared_ptr<const plugins::Sampling> sampling_;
  const OverlongOptions overlong_;
  const DynamicSampling rule_;
  std::vector<std::string> reward_names_;  // in the order of Sample::scores
};

}  // namespace grpo::train

#endif
