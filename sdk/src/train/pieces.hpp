// pieces.hpp: how many prompts a step samples before it trains on them.
//
// Main idea. A model may keep what it computed while it sampled, so that training on it starts with the backward pass,
// but only so much of it (grpo_model_info::rollout_tokens). A step that is longer is cut: sample a piece, add its
// gradient, go on with the next. Cost and memory of a token then stay the same as steps grow. Fewer completions at a
// time decode slower, so a piece has at least as many as keep the arithmetic busy, and a model may keep part of it.
#ifndef GRPO_SRC_TRAIN_PIECES_HPP
#define GRPO_SRC_TRAIN_PIECES_HPP

#include <cstddef>
#include <cstdint>

namespace grpo::train {

struct StepSize {
  std::int64_t prompts = 0, group_size = 0;
  double prompt_length = 0, completion_length = 0;  // expected, in tokens
  std::int64_t rollout_tokens = 0;                  // as the model says; 0: no preference
};

// In pieces as even as they come; the number of prompts when one piece is best.
std::size_t prompts_per_piece(const StepSize& step);

}  // namespace grpo::train

#endif
