// DPPO (Qi et al. 2026, "Rethinking the Trust Region in LLM Reinforcement Learning"): what is bounded is not the ratio
// but the divergence of the new policy from the old one, estimated from the sampled token alone, as of two coins that
// fall on it or not. A token beyond its bound, in the direction that its advantage pushes, is left out; the weight of
// the others is the ratio, held fixed, at most delta.
#include <algorithm>
#include <cmath>

#include "terms/term.hpp"

namespace grpo::algorithm {

namespace {

TermOutput weighted_or_left_out(const ObjectiveOptions& options, const TermInput& in, bool left_out) {
  TermOutput out;
  out.clipped_low = left_out && in.advantage < 0;
  out.clipped_high = left_out && in.advantage > 0;
  if (left_out) return out;
  const double weight = options.delta ? std::min(in.ratio, *options.delta) : in.ratio;
  out.loss = -weight * in.advantage * in.logprob;
  out.d_logprob = -weight * in.advantage;
  return out;
}

// Of the token, now and before; a logarithm rounded to above 0 is 0.
struct Probabilities {
  double now, before;
  explicit Probabilities(const TermInput& in)
      : now(std::exp(std::min(in.logprob, 0.0))), before(std::exp(std::min(in.logprob - in.token_log_ratio, 0.0))) {}
};

}  // namespace

TermOutput dppo_tv_term(const ObjectiveOptions& options, const TermInput& in) {
  const Probabilities p(in);
  const double moved = p.now - p.before;  // total variation, with its direction
  return weighted_or_left_out(options, in, in.advantage > 0 ? moved > options.clip_high : moved < -options.clip_low);
}

TermOutput dppo_kl_term(const ObjectiveOptions& options, const TermInput& in) {
  constexpr double guard = 1e-8;  // verl's
  const Probabilities p(in);
  const double kl =
      -p.before * in.token_log_ratio + (1 - p.before) * std::log((1 - p.before + guard) / (1 - p.now + guard));
  const bool too_far =
      in.advantage > 0 ? kl > options.clip_high && p.now > p.before : kl > options.clip_low && p.now < p.before;
  return weighted_or_left_out(options, in, too_far);
}

}  // namespace grpo::algorithm
