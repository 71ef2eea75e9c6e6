// batch_view.hpp: a checked token batch, its values widened to double one at a time.
#ifndef GRPO_SRC_ALGORITHM_BATCH_VIEW_HPP
#define GRPO_SRC_ALGORITHM_BATCH_VIEW_HPP

#include <algorithm>
#include <cmath>

#include "grpo/sdk/algorithm/objective.hpp"
#include "text.hpp"

namespace grpo::algorithm {

// The constructor checks sizes; a value is checked when it is read, so that masked tokens may hold anything.
template <class Real>
class View {
 public:
  View(const ObjectiveOptions& options, const BasicTokenBatch<Real>& batch) : batch_(batch) {
    check_start();
    check_array("logprob", batch.logprob.size(), tokens(), true);
    check_array("old_logprob", batch.old_logprob.size(), tokens(), false);
    check_array("reference_logprob", batch.reference_logprob.size(), tokens(), options.kl_coefficient != 0);
    check_array("sampled_logprob", batch.sampled_logprob.size(), tokens(), false);
    check_array("entropy", batch.entropy.size(), tokens(), options.entropy_coefficient != 0);
    check_array("mask", batch.mask.size(), tokens(), false);
    check_array("entropy_mask", batch.entropy_mask.size(), tokens(), false);
    check_array("covariance_tokens", batch.covariance_tokens.size(), tokens(), false);
    check_array("policy_weight", batch.policy_weight.size(), tokens(), false);
    check_array("importance_ratio", batch.importance_ratio.size(), tokens(), false);
    check_array("token_advantage", batch.token_advantage.size(), tokens(), false);
    if (batch.token_advantage.empty()) check_array("advantage", batch.advantage.size(), rows(), true);
  }

  size_t rows() const { return batch_.start.size() - 1; }
  size_t tokens() const { return static_cast<size_t>(batch_.start.back()); }
  size_t begin(size_t row) const { return static_cast<size_t>(batch_.start[row]); }
  size_t end(size_t row) const { return static_cast<size_t>(batch_.start[row + 1]); }

  size_t kept_tokens() const {
    return batch_.mask.empty() ? tokens() : tokens() - static_cast<size_t>(std::ranges::count(batch_.mask, 0));
  }
  bool kept(size_t t) const { return batch_.mask.empty() || batch_.mask[t] != 0; }
  bool in_entropy(size_t t) const { return kept(t) && (batch_.entropy_mask.empty() || batch_.entropy_mask[t] != 0); }
  bool has_entropy() const { return !batch_.entropy.empty(); }
  bool token_level_advantage() const { return !batch_.token_advantage.empty(); }

  bool covariance_token(size_t t) const {
    return !batch_.covariance_tokens.empty() && batch_.covariance_tokens[t] != 0;
  }

  double logprob(size_t row, size_t t) const { return finite("logprob", batch_.logprob, row, t); }
  double old_logprob(size_t row, size_t t) const {
    return batch_.old_logprob.empty() ? logprob(row, t) : finite("old_logprob", batch_.old_logprob, row, t);
  }
  double reference_logprob(size_t row, size_t t) const {
    return finite("reference_logprob", batch_.reference_logprob, row, t);
  }
  double entropy(size_t row, size_t t) const { return finite("entropy", batch_.entropy, row, t); }
  double advantage(size_t row, size_t t) const {
    return token_level_advantage() ? finite("token_advantage", batch_.token_advantage, row, t)
                                   : finite("advantage", batch_.advantage, row, row);
  }
  double weight(size_t row, size_t t) const {
    return batch_.policy_weight.empty() ? 1 : finite("policy_weight", batch_.policy_weight, row, t);
  }
  double sampled_logprob(size_t row, size_t t) const {  // NaN: unknown
    const bool known = !batch_.sampled_logprob.empty() && !std::isnan(batch_.sampled_logprob[t]);
    return known ? finite("sampled_logprob", batch_.sampled_logprob, row, t) : std::numeric_limits<double>::quiet_NaN();
  }
  double importance_ratio(size_t row, size_t t) const {
    return batch_.importance_ratio.empty() ? 1 : finite("importance_ratio", batch_.importance_ratio, row, t);
  }

 private:
  void check_start() const {
    if (batch_.start.empty() || batch_.start.front() != 0) fail("objective: start must hold rows + 1 values from 0 on");
    for (size_t row = 1; row < batch_.start.size(); ++row) {
      if (batch_.start[row] < batch_.start[row - 1]) fail("objective: start falls at row ", row - 1);
    }
  }

  static void check_array(const char* name, size_t size, size_t wanted, bool needed) {
    if (size == 0 && wanted > 0 && needed) fail("objective: ", name, " is missing; these options need it");
    if (size != 0 && size != wanted) fail("objective: ", name, " has ", size, " values, the batch needs ", wanted);
  }

  template <class Value>
  double finite(const char* name, std::span<const Value> values, size_t row, size_t at) const {
    const auto value = static_cast<double>(values[at]);
    if (!std::isfinite(value)) {
      fail("objective: ", name, " of row ", row, ", token ", at >= begin(row) ? at - begin(row) : 0, " is ", value,
           "; it must be finite");
    }
    return value;
  }

  const BasicTokenBatch<Real>& batch_;
};

}  // namespace grpo::algorithm

#endif
