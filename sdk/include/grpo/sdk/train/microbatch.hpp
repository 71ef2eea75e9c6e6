// microbatch.hpp: which samples go through the model together.
//
// Main idea. A micro batch is a forest: each of its prompts is one root with the completions below it, so a shared
// prompt costs its tokens once, forward and backward. Micro batches are filled in order up to a budget of tokens; a
// group that does not fit is cut, and its prompt repeated. Since the loss is normalised over the whole optimizer step,
// the cut never changes the gradient.
#ifndef GRPO_SDK_TRAIN_MICROBATCH_HPP
#define GRPO_SDK_TRAIN_MICROBATCH_HPP

#include <cstdint>
#include <span>
#include <vector>

#include "grpo/sdk/plugins/forest.hpp"
#include "grpo/sdk/plugins/model.hpp"
#include "grpo/sdk/train/rollout.hpp"

namespace grpo::train {

// Some samples of one group.
struct GroupPart {
  const Prompt* prompt = nullptr;
  std::vector<Sample*> samples;
};

struct MicroBatch {
  std::vector<GroupPart> parts;
  std::int64_t tokens = 0;   // in the forest
  std::int64_t targets = 0;  // completion tokens

  // The forest, and its targets in the order of parts and samples: one a completion token.
  plugins::Forest forest() const;
  // Where each sample's targets start, [samples + 1], in that order.
  std::vector<std::int64_t> starts() const;
  std::vector<Sample*> samples() const;
};

// Cuts groups into micro batches of at most max_tokens tokens (0: all in one). A single sequence longer than that makes
// a micro batch of its own. Empty completions are left out: they have nothing to learn from.
std::vector<MicroBatch> cut_into_microbatches(std::span<Group* const> groups, std::int64_t max_tokens);

// The most tokens of a pass: as configured (0: all in one), and no more than the model trains on cheapest, for of more
// it would compute some twice; but always enough for large matrix products.
std::int64_t tokens_of_a_pass(std::int64_t configured, const plugins::Model& model);

}  // namespace grpo::train

#endif
