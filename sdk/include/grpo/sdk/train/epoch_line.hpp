// epoch_line.hpp: where a run is, in a line, as AReaL's users read it.
#ifndef GRPO_SDK_TRAIN_EPOCH_LINE_HPP
#define GRPO_SDK_TRAIN_EPOCH_LINE_HPP

#include <cstdint>
#include <string>

namespace grpo::train {

struct EpochLine {
  std::int64_t step = 0, total_steps = 0;  // step: done, from 1
  std::int64_t steps_per_epoch = 1;
  double step_seconds = 0, total_seconds = 0, remaining_seconds = 0;
};

// "Epoch 1/1 step 6/19 (global step 6): end-to-end 9.30s, total time 1m02s, estimated remaining time 2m00s". The second
// number is of steps in that epoch; the last epoch may be a part of one.
std::string epoch_line(const EpochLine& line);

}  // namespace grpo::train

#endif
