// sampling.hpp: from a row of logits to a token, by the rules of decode.h and random.h.
#ifndef GRPO_TRANSFORMER_SAMPLING_HPP
#define GRPO_TRANSFORMER_SAMPLING_HPP

#include <grpo/decode.h>

#include <cstdint>
#include <vector>

namespace grpo::transformer {

struct Sampling {
  double temperature = 1, top_p = 0, min_p = 0, penalty = 0;  // as in grpo_sampling; 0: off
  std::int32_t top_k = 0, min_new = 0, max_new = 0;
  std::vector<std::int32_t> stop;

  bool stops(std::int32_t token) const;
};

// What we honour.
constexpr std::uint32_t sampling_honoured = GRPO_SAMPLING_TOP_K | GRPO_SAMPLING_TOP_P | GRPO_SAMPLING_MIN_P |
                                            GRPO_SAMPLING_REPETITION_PENALTY | GRPO_SAMPLING_MIN_NEW;

// Throws Refusal for values outside the contract, and for what is not honoured.
Sampling read_sampling(const grpo_sampling& s);

// Where a choice is made.
struct Place {
  const float* logits = nullptr;           // [vocabulary]
  const std::int32_t* sequence = nullptr;  // [length] all tokens so far
  std::int64_t length = 0, n_new = 0;      // n_new: since assign
  std::uint64_t key = 0;
  std::int32_t force = -1;  // this token; -1: choose
};

struct Choice {
  std::int32_t token = 0;
  float logprob = 0, logprob_sampled = 0;
  // Of softmax(logits / temperature), the temperature being above 0.
  double lse = 0, entropy = 0;
};

// Buffers for one thread.
class Chooser {
 public:
  explicit Chooser(std::int64_t vocabulary);
  Choice choose(const Sampling& s, const Place& place);

 private:
  const float* adjusted(const Sampling& s, const Place& place);
  std::int64_t truncate(const Sampling& s, const float* z);

  std::int64_t vocabulary_;
  std::vector<float> z_, e_;
  std::vector<double> blocks_;
  std::vector<std::int32_t> order_, seen_;
  std::int32_t mark_ = 0;
};

}  // namespace grpo::transformer

#endif
