#include "pieces.hpp"

#include <algorithm>

namespace grpo::train {

std::size_t prompts_per_piece(const StepSize& step) {
  constexpr std::int64_t busy = 16;  // completions: fewer at a time wait for the weights to be read
  const auto whole = static_cast<std::size_t>(step.prompts);
  const double each = step.prompt_length + static_cast<double>(step.group_size) * step.completion_length;
  const auto fewest = (busy + step.group_size - 1) / step.group_size;
  if (step.rollout_tokens == 0 ||
      each * static_cast<double>(step.prompts) <= static_cast<double>(step.rollout_tokens) ||
      each * static_cast<double>(fewest) > static_cast<double>(step.rollout_tokens) || fewest >= step.prompts)
    return whole;
  const auto most = static_cast<std::int64_t>(static_cast<double>(step.rollout_tokens) / each);
  const std::int64_t pieces = (step.prompts + most - 1) / most;
  return static_cast<std::size_t>(std::max(fewest, (step.prompts + pieces - 1) / pieces));
}

}  // namespace grpo::train
