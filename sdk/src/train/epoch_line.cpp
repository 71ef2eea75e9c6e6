#include "grpo/sdk/train/epoch_line.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "grpo/sdk/report/console.hpp"

namespace grpo::train {

std::string epoch_line(const EpochLine& l) {
  const auto per = std::max<std::int64_t>(1, l.steps_per_epoch);
  const auto epoch = (l.step - 1) / per, epochs = (l.total_steps + per - 1) / per;
  const auto steps = std::min(per, l.total_steps - epoch * per);
  return fmt::format(
      "Epoch {}/{} step {}/{} (global step {}): end-to-end {:.2f}s, total time {}, estimated remaining time {}",
      epoch + 1, epochs, l.step - epoch * per, steps, l.step, l.step_seconds, report::duration(l.total_seconds),
      report::duration(l.remaining_seconds));
}

}  // namespace grpo::train
