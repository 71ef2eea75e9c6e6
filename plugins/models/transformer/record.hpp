// record.hpp: what decoding computed, kept for training on it.
//
// Main idea. On-policy, the forward pass of a training step computes again what the rollout has just computed, token by
// token, with the same weights. So the rollout writes its activations here, and a forward pass that finds all its
// tokens here runs no layer: a third of the update's arithmetic falls away. Tokens are found by their whole path, in a
// tree: (place of the token before, id) -> place. What was recorded holds for one version of the weights.
//
// Of every layer the input is kept; of the first `depth` layers also what is computed inside, nine tenths of the
// memory. When that is full, the last of these layers gives its memory up, and backward computes its inside again.
//
// [one thread at a time]
#ifndef GRPO_TRANSFORMER_RECORD_HPP
#define GRPO_TRANSFORMER_RECORD_HPP

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "config.hpp"
#include "layer_rows.hpp"
#include "sampling.hpp"
#include "statistics.hpp"

namespace grpo::transformer {

class Record {
 public:
  static constexpr std::int32_t root = -1, unknown = -2;  // instead of a place: before the first token; not recorded

  // bytes: of all that is kept. Address space only, until it is written.
  Record(const Config& config, std::int64_t bytes);
  ~Record();
  Record(const Record&) = delete;
  Record& operator=(const Record&) = delete;

  // The weights have changed: all is forgotten. Places are of an epoch, which ends here.
  void forget();
  std::uint64_t epoch() const { return epoch_; }

  // A prompt to train on begins. After a forward pass it is of another rollout, and the one before makes room.
  void begin_prompt();
  // The first of n places side by side. Rollouts being alike, the next one begins with the depth that this one came to.
  // Nothing when not even the inputs fit: then all is forgotten and its memory given back, for a rollout that is there
  // in part is as good as none, and after n such in a row the next n - 1 are not tried, seven at most.
  std::optional<std::int64_t> take(std::int64_t n);
  // Between forward and backward what is here stays.
  void pin() { ++pins_; }
  void unpin() { --pins_; }
  void rollout_is_over() { over_ = true; }
  // For how many tokens all is kept.
  std::int64_t tokens_kept_whole() const { return capacity(layers_); }
  std::size_t depth() const { return static_cast<std::size_t>(depth_); }
  double share() const;  // of what a token's backward needs, at this depth
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

  // From the place on. The inside of layers under depth(); the input of those and of the rest; as the input of layer
  // `layers` what the last one put out.
  LayerRows layer(std::size_t index, std::int64_t place) const;

 private:
  // Memory by place, and how many of its places have pages.
  struct Region {
    float* memory = nullptr;
    std::int64_t step = 0;  // floats from place to place
    std::int64_t touched = 0;
  };
  std::int64_t capacity(std::int64_t depth) const;
  std::int64_t bytes_of(const Region& region) const;
  std::int64_t bytes_with(std::int64_t places) const;
  bool make_room(std::int64_t n);
  void give_back(Region& region, std::int64_t from);
  void give_all_back();
  void clear();
  void end_rollout();

  LayerShape shape_;
  std::int64_t layers_, hidden_, bytes_;
  std::size_t mapped_ = 0;  // bytes of address space
  Region inputs_;
  std::vector<Region> inside_;  // [layers]
  void* memory_ = nullptr;
  std::int64_t used_ = 0, depth_;
  std::int64_t rollouts_off_ = 0;  // above 0: nothing is recorded, this one counted
  std::int64_t overflows_ = 0;     // in a row
  std::int64_t pins_ = 0;
  bool over_ = false;
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
