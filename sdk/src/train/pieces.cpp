#include "pieces.hpp"

#include <algorithm>

namespace grpo::train {

std::size_t prompts_per_piece(const StepSize& step) {
  constexpr std::int64_t busy = 32;    // completions: fewer at a time wait for the weights to be read
  constexpr double worth_keeping = 8;  // of a piece so many times too long a model keeps too little to matter
  const double each = step.prompt_length + static_cast<double>(step.group_size) * step.completion_length;
  const double fit = static_cast<double>(step.rollout_tokens) / each;  // prompts
  const std::int64_t fewest = (busy + step.group_size - 1) / step.group_size;
  const auto whole = static_cast<std::size_t>(step.prompts);
  if (step.rollout_tokens == 0 || fit >= static_cast<double>(step.prompts) || fewest >= step.prompts ||
      static_cast<double>(fewest) > worth_keeping * fit)
    return whole;
  const std::int64_t most = std::max(fewest, static_cast<std::int64_t>(fit));
  const std::int64_t pieces = (step.prompts + most - 1) / most;
  return static_cast<std::size_t>(std::max(fewest, (step.prompts + pieces - 1) / pieces));
}

}  // namespace grpo::train
