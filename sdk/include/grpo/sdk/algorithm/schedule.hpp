// schedule.hpp: learning rate over the optimizer steps, as transformers' schedulers give it, and gradient clipping.
#ifndef GRPO_SDK_ALGORITHM_SCHEDULE_HPP
#define GRPO_SDK_ALGORITHM_SCHEDULE_HPP

#include <cstdint>
#include <string_view>

namespace grpo::algorithm {

enum class ScheduleKind {
  constant,  // peak
  linear,    // straight line from peak to peak x min_ratio at the last step
  cosine,    // half a cosine between the same ends
};

ScheduleKind schedule_kind(
    std::string_view name);  // also "constant_with_warmup", "cosine_with_min_lr"; throws grpo::Error
std::string_view name(ScheduleKind kind);

struct ScheduleOptions {
  ScheduleKind kind = ScheduleKind::constant;
  double peak = 1e-6;        // learning rate after the warm-up
  int64_t warmup_steps = 0;  // rises linearly from 0; wins over warmup_ratio when not 0
  double warmup_ratio = 0;   // of the total steps, rounded up
  double min_ratio = 0;      // the end of linear and cosine, as a share of peak
};

// Learning rate of optimizer step `step` (0-based: the first step of a warm-up has rate 0, as in transformers) out of
// `total_steps`. Steps past the end keep the end's rate. Throws grpo::Error naming the option that is out of range.
double learning_rate(const ScheduleOptions& options, int64_t step, int64_t total_steps);

// The factor on every gradient so that the global norm (root of the sum of squares over all parameters and ranks) is at
// most max_norm: min(1, max_norm / (norm + 1e-6)), torch's clip_grad_norm_. max_norm 0 is no clipping. Throws
// grpo::Error when the norm is not finite: stepping on it would destroy the weights.
double gradient_scale(double norm, double max_norm);

}  // namespace grpo::algorithm

#endif
