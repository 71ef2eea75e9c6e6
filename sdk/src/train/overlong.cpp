#include "grpo/sdk/train/overlong.hpp"

#include <grpo/sampler.h>

#include <algorithm>
#include <cmath>

#include "grpo/sdk/config/config.hpp"
#include "grpo/sdk/error.hpp"

namespace grpo::train {
namespace {

bool was_cut(const Sample& sample) { return sample.finish != GRPO_FINISH_STOP; }

OverlongRule rule_of(const std::string& name) {
  return name == "zero"     ? OverlongRule::zero
         : name == "linear" ? OverlongRule::linear
         : name == "mask"   ? OverlongRule::mask
                            : OverlongRule::none;
}

}  // namespace

OverlongOptions overlong_of(const config::Config& c) {
  const auto& a = c.algorithm;
  OverlongOptions options{.rule = rule_of(a.overlong),
                          .length = a.overlong_length > 0 ? a.overlong_length : c.sampler.max_new_tokens,
                          .buffer = a.overlong_buffer,
                          .factor = a.overlong_penalty};
  if (options.rule != OverlongRule::linear) {
    if (c.origin("algorithm.overlong_buffer").kind != config::Origin::Kind::built_in && a.overlong_buffer > 0)
      throw Error(c.where("algorithm.overlong_buffer") + ": only `algorithm.overlong: linear` reads it; set that");
    return options;
  }
  if (options.buffer == 0)
    throw Error(c.where("algorithm.overlong") +
                ": linear needs algorithm.overlong_buffer, the tokens over which the penalty grows");
  if (options.buffer > options.length)
    throw Error(c.where("algorithm.overlong_buffer") + ": a buffer of " + std::to_string(options.buffer) +
                " tokens is longer than the " + std::to_string(options.length) + " that it ends at");
  return options;
}

double overlong_penalty(const OverlongOptions& o, std::int64_t length, bool cut) {
  if (cut || length > o.length) return -o.factor;
  const auto beyond = length - (o.length - o.buffer);
  return beyond <= 0 ? 0 : -o.factor * static_cast<double>(beyond) / static_cast<double>(o.buffer);
}

void shape_overlong(const OverlongOptions& options, std::span<Group> groups) {
  for (Group& group : groups)
    for (Sample& s : group.samples) {
      if (std::isnan(s.reward)) continue;
      if (options.rule == OverlongRule::zero && was_cut(s)) s.reward = 0;
      if (options.rule == OverlongRule::linear)
        s.reward += overlong_penalty(options, static_cast<std::int64_t>(s.ids.size()), was_cut(s));
    }
}

void add_overlong_metrics(const OverlongOptions& options, std::span<const Group* const> groups,
                          report::Metrics& metrics) {
  if (options.rule == OverlongRule::none) return;
  double touched = 0, penalty = 0, n = 0;
  for (const Group* group : groups)
    for (const Sample& s : group->samples) {
      const double p = overlong_penalty(options, static_cast<std::int64_t>(s.ids.size()), was_cut(s));
      touched += options.rule == OverlongRule::linear ? p != 0 : was_cut(s);
      penalty += p;
      ++n;
    }
  metrics.set("overlong/share", n > 0 ? touched / n : 0);
  if (options.rule == OverlongRule::linear) metrics.set("overlong/penalty", n > 0 ? penalty / n : 0);
}

}  // namespace grpo::train
