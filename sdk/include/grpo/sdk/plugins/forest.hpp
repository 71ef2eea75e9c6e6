// forest.hpp: packed token sequences that share beginnings, and which of their tokens are scored.
//
//     Forest forest;
//     const auto prompt = forest.add(Forest::root, prompt_ids);
//     for (const auto& c : completions) forest.add_scored(prompt, c.ids);   // one target a token, in order
//
// Targets are numbered in the order they were added; log-probabilities come back in that order, flattened or not.
#ifndef GRPO_SDK_PLUGINS_FOREST_HPP
#define GRPO_SDK_PLUGINS_FOREST_HPP

#include <grpo/model.h>

#include <cstdint>
#include <span>
#include <vector>

namespace grpo::plugins {

class Forest {
 public:
  static constexpr std::int64_t root = -1;  // the parent of a first node

  // A node that continues `parent`. Returns its number. Throws grpo::Error if ids is empty or there is no such parent.
  std::int64_t add(std::int64_t parent, std::span<const std::int32_t> ids);
  // The same, and every token of it is a target. With parent == root the first token cannot be one and is not.
  std::int64_t add_scored(std::int64_t parent, std::span<const std::int32_t> ids);
  // The same; only the tokens whose mask is not 0 are targets. Throws unless the sizes are equal.
  std::int64_t add_scored(std::int64_t parent, std::span<const std::int32_t> ids, std::span<const std::uint8_t> mask);
  // A target: the id that the output of token `at` (its number in the forest) is to predict.
  void add_target(std::int64_t at, std::int32_t id);
  void clear();

  std::int64_t n_tokens() const { return static_cast<std::int64_t>(token_.size()); }
  std::int64_t n_nodes() const { return static_cast<std::int64_t>(parent_.size()); }
  std::int64_t n_targets() const { return static_cast<std::int64_t>(target_at_.size()); }
  std::int32_t depth() const;    // nodes on the longest path; 0: empty
  std::int64_t longest() const;  // tokens on the longest path
  std::span<const std::int32_t> tokens() const { return token_; }
  std::span<const std::int64_t> node_start() const { return node_start_; }
  std::span<const std::int64_t> parents() const { return parent_; }
  std::span<const std::int64_t> target_at() const { return target_at_; }
  std::span<const std::int32_t> target_token() const { return target_token_; }

  // The same targets, in the same order, over at most max_depth levels (1: separate sequences; 0: any, a plain copy).
  // What lies deeper is joined into runs, one a leaf, and repeated where it was shared.
  Forest flattened(std::int32_t max_depth) const;

  // Fills the contract's struct; pointers into this object.
  void fill(grpo_forest& out) const;

 private:
  std::vector<std::int32_t> token_, target_token_;
  std::vector<std::int64_t> node_start_{0}, parent_, target_at_;
  std::vector<std::int32_t> level_;  // [node] 1 for roots
};

}  // namespace grpo::plugins

#endif
