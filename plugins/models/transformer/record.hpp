// record.hpp: what decoding computed, kept for training on it.
//
// Main idea. On-policy, the forward pass of a training step computes again what the rollout has just computed, token by
// token, with the same weights. So the rollout writes its activations here, and a forward pass that finds all its
// tokens here runs no layer: a third of the update's arithmetic falls away. Tokens are found by their whole path, in a
// tree: (place of the token before, id) -> place. What was recorded holds for one version of the weights.
//
// [one thread at a time]
#ifndef GRPO_TRANSFORMER_RECORD_HPP
#define GRPO_TRANSFORMER_RECORD_HPP

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "config.hpp"
#include "sampling.hpp"
#include "statistics.hpp"

namespace grpo::transformer {

class Record {
 public:
  static constexpr std::int32_t root = -1, unknown = -2;  // instead of a place: before the first token; not recorded

  // What one layer computed for a token, [capacity] rows of each.
  struct Layer {
    float* x;          // [hidden] the layer's input
    float* qkv;        // [q + 2 kv] after RoPE; before norm and RoPE in a model that norms q and k
    float* attention;  // [q]
    float* lse;        // [heads] of the scores
    float* middle;     // [hidden]
    float* gate_up;    // [2 ffn]
  };

  // As many tokens as fit into so many bytes; address space only, until it is written.
  Record(const Config& config, std::int64_t bytes);
  ~Record();
  Record(const Record&) = delete;
  Record& operator=(const Record&) = delete;

  static std::int64_t bytes_per_token(const Config& config);

  // The weights have changed: all is forgotten. Places are of an epoch, which ends here.
  void forget();
  std::uint64_t epoch() const { return epoch_; }

  // A prompt to train on begins. After a forward pass it is of another rollout, and the one before makes room.
  void begin_prompt();
  // The first of n places side by side. Nothing when it is full: then all is forgotten and its memory given back, for a
  // rollout that is there in part is as good as none. Rollouts being alike, after n too long ones in a row the next
  // n - 1 are not tried, seven at most.
  std::optional<std::int64_t> take(std::int64_t n);
  // Between forward and backward what is here stays.
  void pin() { ++pins_; }
  void unpin() { --pins_; }
  void rollout_is_over() { over_ = true; }
  bool overflowed() const { return overflowed_; }  // ever
  std::int64_t capacity() const { return capacity_; }
  // The token's place: `place`, unless the same path was recorded before.
  std::int32_t link(std::int32_t before, std::int32_t token, std::int64_t place);
  // unknown if it is not there.
  std::int32_t find(std::int32_t before, std::int32_t token) const;

  // What was chosen after the token at a place, and the distribution it was drawn from. temperature 0: ignored.
  void score(std::int32_t place, double temperature, const Choice& choice, std::int32_t token);
  struct Score {
    float logprob;
    RowStatistics statistics;
  };
  // Nothing unless that token was chosen there, at that temperature.
  std::optional<Score> find_score(std::int64_t place, double temperature, std::int32_t token) const;

  // Of the place.
  Layer layer(std::size_t index, std::int64_t place) const;
  float* last(std::int64_t place) const { return memory_ + (last_ + place * hidden_); }  // the last layer's output

 private:
  void clear();
  void end_rollout();

  std::int64_t capacity_, hidden_, qkv_, q_, heads_, ffn_;
  std::int64_t layer_size_, last_;  // in floats
  float* memory_ = nullptr;
  std::size_t bytes_;
  std::int64_t used_ = 0;
  std::int64_t rollouts_off_ = 0;  // above 0: nothing is recorded, this one counted
  std::int64_t overflows_ = 0;     // in a row
  std::int64_t pins_ = 0;
  bool overflowed_ = false, over_ = false;
  std::uint64_t epoch_ = 0;
  std::unordered_map<std::uint64_t, std::int32_t> tree_;

  struct Distribution {
    double temperature = 0;
    RowStatistics statistics;
  };
  std::vector<Distribution> distribution_;            // [places]
  std::unordered_map<std::uint64_t, float> logprob_;  // of what was chosen
};

}  // namespace grpo::transformer

#endif
