// Random ragged batches to try objectives on.
#ifndef GRPO_TESTS_ALGORITHM_FIXTURE_HPP
#define GRPO_TESTS_ALGORITHM_FIXTURE_HPP

#include <cmath>
#include <random>
#include <vector>

#include "grpo/sdk/algorithm/objective.hpp"

namespace grpo::algorithm {

// Owns what a batch points to. Rows of 0 to 6 tokens, the second always empty; about one token in five masked out.
template <class Real>
struct OwnedBatch {
  std::vector<int64_t> start = {0};
  std::vector<Real> logprob, old_logprob, reference_logprob, sampled_logprob, entropy;
  std::vector<uint8_t> mask, covariance;  // covariance: what CovarianceControl acts on
  std::vector<double> advantage, policy_weight, importance_ratio;

  static OwnedBatch random(unsigned seed, int rows, double spread = 0.3) {
    std::mt19937 engine(seed);
    std::normal_distribution<double> normal;
    std::uniform_real_distribution<double> uniform;
    OwnedBatch out;
    for (int row = 0; row < rows; ++row) {
      const int tokens = row == 1 ? 0 : 1 + static_cast<int>(uniform(engine) * 6);
      for (int t = 0; t < tokens; ++t) {
        const double logprob = -2 * uniform(engine) - 0.01;
        out.logprob.push_back(static_cast<Real>(logprob));
        out.old_logprob.push_back(static_cast<Real>(logprob + spread * normal(engine)));
        out.reference_logprob.push_back(static_cast<Real>(logprob + spread * normal(engine)));
        out.sampled_logprob.push_back(static_cast<Real>(logprob + 0.01 * normal(engine)));
        out.entropy.push_back(static_cast<Real>(3 * uniform(engine)));
        out.mask.push_back(uniform(engine) < 0.8);
        out.policy_weight.push_back(0.5 + uniform(engine));
        out.importance_ratio.push_back(std::exp(0.1 * normal(engine)));
        out.covariance.push_back(out.covariance.size() % 3 == 1);
      }
      out.start.push_back(static_cast<int64_t>(out.logprob.size()));
      out.advantage.push_back(normal(engine));
    }
    return out;
  }

  BasicTokenBatch<Real> view() const {
    BasicTokenBatch<Real> batch;
    batch.start = start;
    batch.logprob = logprob;
    batch.old_logprob = old_logprob;
    batch.reference_logprob = reference_logprob;
    batch.sampled_logprob = sampled_logprob;
    batch.entropy = entropy;
    batch.mask = mask;
    batch.advantage = advantage;
    batch.policy_weight = policy_weight;
    batch.importance_ratio = importance_ratio;
    batch.covariance_tokens = covariance;
    return batch;
  }

  // The rows named, in that order.
  OwnedBatch rows(const std::vector<size_t>& which) const {
    OwnedBatch out;
    for (size_t row : which) {
      for (auto t = static_cast<size_t>(start[row]); t < static_cast<size_t>(start[row + 1]); ++t) {
        out.logprob.push_back(logprob[t]);
        out.old_logprob.push_back(old_logprob[t]);
        out.reference_logprob.push_back(reference_logprob[t]);
        out.sampled_logprob.push_back(sampled_logprob[t]);
        out.entropy.push_back(entropy[t]);
        out.mask.push_back(mask[t]);
        out.policy_weight.push_back(policy_weight[t]);
        out.importance_ratio.push_back(importance_ratio[t]);
        out.covariance.push_back(covariance[t]);
      }
      out.start.push_back(static_cast<int64_t>(out.logprob.size()));
      out.advantage.push_back(advantage[row]);
    }
    return out;
  }

  Normalizer normalizer() const {
    double kept = 0;
    for (uint8_t m : mask) kept += m;
    return {.rows = static_cast<double>(advantage.size()), .tokens = kept, .max_completion_length = 8};
  }
};

template <class Real>
struct Outcome {
  ObjectiveResult result;
  std::vector<Real> dlogprob, dentropy;
};

template <class Real>
Outcome<Real> run(const ObjectiveOptions& options, const BasicTokenBatch<Real>& batch, const Normalizer& normalizer) {
  Outcome<Real> out;
  out.dlogprob.assign(batch.logprob.size(), Real(-77));  // must be overwritten
  out.dentropy.assign(batch.logprob.size(), Real(-77));
  out.result = evaluate<Real>(options, batch, normalizer, out.dlogprob, out.dentropy);
  return out;
}

}  // namespace grpo::algorithm

#endif
