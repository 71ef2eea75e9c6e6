// overlong.hpp: what the length of a completion does to its reward (algorithm.overlong).
//
//   none     nothing
//   zero     a completion that was cut at sampler.max_new_tokens has reward 0
//   linear   DAPO's soft overlong punishment (Yu et al. 2025, eq. 13), with L tokens, a buffer of B before L_max and
//   the
//            factor f:
//                     0                             L <= L_max - B
//              -f (L - (L_max - B)) / B             L_max - B < L <= L_max
//                    -f                             L_max < L, or cut
//            is added to the reward. verl and EasyR1: overlong_buffer; TRL: get_soft_overlong_punishment.
//   mask     the reward stays, the completion leaves the loss: see UpdateOptions::mask_truncated_completions
//
// A completion counts as cut when it ended neither by itself nor by a stop text. A sample without a reward stays so.
#ifndef GRPO_SDK_TRAIN_OVERLONG_HPP
#define GRPO_SDK_TRAIN_OVERLONG_HPP

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "grpo/sdk/report/metrics.hpp"
#include "grpo/sdk/train/rollout.hpp"

namespace grpo::config {
struct Config;
}

namespace grpo::train {

enum class OverlongRule { none, zero, linear, mask };

struct OverlongOptions {
  OverlongRule rule = OverlongRule::none;
  std::int64_t length = 0;  // L_max, tokens
  std::int64_t buffer = 0;  // B, 0 <= B <= length
  double factor = 1;        // f
};

// The section `algorithm`. Throws grpo::Error: a buffer that is longer than the completion, or none where `linear`
// needs one.
OverlongOptions overlong_of(const config::Config& config);

// What `linear` adds to the reward of a completion: -factor .. 0.
double overlong_penalty(const OverlongOptions& options, std::int64_t length, bool cut);

// Changes the samples' rewards.
void shape_overlong(const OverlongOptions& options, std::span<Group> groups);

// overlong/share (completions that the rule touches) and, with `linear`, overlong/penalty (its mean over all). Nothing
// with `none`.
void add_overlong_metrics(const OverlongOptions& options, std::span<const Group* const> groups,
                          report::Metrics& metrics);

}  // namespace grpo::train

#endif
