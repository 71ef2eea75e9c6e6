// term.hpp: what a policy term is. One file a term; names.cpp says which names lead to it.
//
// A term sees one token: how far the policy has moved (the ratio that the ratio level gives) and the advantage. It
// returns its loss with both partial derivatives. It knows nothing of masks, weights, KL or aggregation.
#ifndef GRPO_SRC_ALGORITHM_TERM_HPP
#define GRPO_SRC_ALGORITHM_TERM_HPP

#include "grpo/sdk/algorithm/objective.hpp"

namespace grpo::algorithm {

struct TermInput {
  double ratio;                // r of the ratio level
  double logprob;              // of this token under the policy being trained
  double advantage;            // A
  double token_log_ratio;      // log r_t of this token alone, guarded
  double sequence_log_weight;  // sum over the row of log r_t, plus the row's rollout correction: detached; 0 for a term
                               // that does not say that it reads it
};

struct TermOutput {
  double loss = 0;
  double d_log_ratio = 0;  // dloss / dlog r
  double d_logprob = 0;    // dloss / dlogprob with the ratio held fixed
  bool clipped_low = false;
  bool clipped_high = false;
};

TermOutput clip_term(const ObjectiveOptions& options, const TermInput& in);
TermOutput cispo_term(const ObjectiveOptions& options, const TermInput& in);
TermOutput sapo_term(const ObjectiveOptions& options, const TermInput& in);
TermOutput vespo_term(const ObjectiveOptions& options, const TermInput& in);
TermOutput gmpo_term(const ObjectiveOptions& options, const TermInput& in);
TermOutput importance_term(const ObjectiveOptions& options, const TermInput& in);
TermOutput dppo_tv_term(const ObjectiveOptions& options, const TermInput& in);
TermOutput dppo_kl_term(const ObjectiveOptions& options, const TermInput& in);
TermOutput dro_term(const ObjectiveOptions& options, const TermInput& in);
TermOutput likelihood_term(const ObjectiveOptions& options, const TermInput& in);

// GMPO's bound on one token's log ratio: whether the move further away from 0 still counts.
inline bool gmpo_clips(const ObjectiveOptions& options, double log_ratio, double advantage) {
  return (advantage > 0 && log_ratio > options.clip_high) || (advantage < 0 && log_ratio < -options.clip_low);
}

struct TermUnit {
  TermOutput (*evaluate)(const ObjectiveOptions&, const TermInput&);
  bool clips = false;                  // whether "clipped" means something for it
  bool reads_sequence_weight = false;  // costs a logarithm a token
};
TermUnit term_unit(PolicyTerm term);

}  // namespace grpo::algorithm

#endif
