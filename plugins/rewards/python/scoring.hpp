// scoring.hpp: one call of `score`: samples out to children, results in.
//
// A function that takes a batch gets the call's samples at once. One that takes a sample at a time gets them in pieces,
// small at first; while the call goes on, free children take pieces too. A child that is lost costs the sample that it
// was at: the others of its piece go to a new one.
#ifndef GRPO_REWARD_PYTHON_SCORING_HPP
#define GRPO_REWARD_PYTHON_SCORING_HPP

#include <grpo/reward.hpp>

#include "pool.hpp"

namespace grpo_python {

struct Context {
  Pool& pool;
  grpo::host host;
  std::string function;  // for messages
  double call_timeout;   // seconds that one call of the function may take; 0: no limit
  double start_timeout;  // seconds that a child may take to import it
};

// Waits until the child has said that the function is there. Throws grpo::failure with what it said instead; the child
// has ended then.
void await_ready(Child& child, const Context& context, const grpo::call& call);

// Fills the batch. Throws when the call is to stop; what has been filled counts.
void score(const grpo::batch& batch, const Context& context);

}  // namespace grpo_python

#endif
