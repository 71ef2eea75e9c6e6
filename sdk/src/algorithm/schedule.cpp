#include "grpo/sdk/algorithm/schedule.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "text.hpp"

namespace grpo::algorithm {

double learning_rate(const ScheduleOptions& options, int64_t step, int64_t total_steps) {
  const auto require = [](bool good, const char* option, double value, const char* range) {
    if (!good) fail("schedule option ", option, " is ", value, "; it must be ", range);
  };
  require(options.peak >= 0 && std::isfinite(options.peak), "peak", options.peak, "a finite number, not negative");
  require(options.warmup_steps >= 0, "warmup_steps", static_cast<double>(options.warmup_steps), "0 or more");
  require(options.warmup_ratio >= 0 && options.warmup_ratio <= 1, "warmup_ratio", options.warmup_ratio, "in [0, 1]");
  require(options.min_ratio >= 0 && options.min_ratio <= 1, "min_ratio", options.min_ratio, "in [0, 1]");
  require(step >= 0, "step", static_cast<double>(step), "0 or more");
  require(total_steps >= 0, "total_steps", static_cast<double>(total_steps), "0 or more");

  const double total = static_cast<double>(total_steps);
  const double warmup =
      options.warmup_steps > 0 ? static_cast<double>(options.warmup_steps) : std::ceil(total * options.warmup_ratio);
  const double at = static_cast<double>(step);
  if (at < warmup) return options.peak * at / warmup;
  if (options.kind == ScheduleKind::constant) return options.peak;

  const double progress = std::clamp((at - warmup) / std::max(1.0, total - warmup), 0.0, 1.0);
  const double left =
      options.kind == ScheduleKind::linear ? 1 - progress : 0.5 * (1 + std::cos(std::numbers::pi * progress));
  return options.peak * (options.min_ratio + (1 - options.min_ratio) * left);
}

double gradient_scale(double norm, double max_norm) {
  if (!std::isfinite(norm) || norm < 0) {
    fail("the gradient norm is ", norm,
         ": stepping on it would destroy the weights; lower the learning rate, or look "
         "for a reward or log-probability that has run away in the steps before");
  }
  if (!(max_norm >= 0)) fail("max_norm is ", max_norm, "; it must be 0 (no clipping) or more");
  return max_norm == 0 ? 1 : std::min(1.0, max_norm / (norm + 1e-6));
}

}  // namespace grpo::algorithm
