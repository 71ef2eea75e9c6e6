// The same function behind the contract, in the author's form.
#include <grpo/reward.hpp>

#include "words.hpp"

GRPO_MANIFEST({"name": "bench_contract", "version": "0.1.0", "licence": "MIT",
               "components": [{"interface": "grpo.reward/1", "name": "words"}]});

struct words {
  explicit words(grpo::options) {}
  grpo::score operator()(const grpo::sample& s) const { return bench::brevity(s.completion()); }
};
GRPO_REWARD(words, "words");
