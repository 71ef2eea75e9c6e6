// forest.hpp: a batch of the contract, put in the order in which it is computed.
//
// Main idea. Nodes are put in depth-first order, so that all descendants of a node are one range of tokens. Attention
// then needs two kinds of block only: a node with itself (causal), and all descendants of a node with that node
// (everything visible). The blocks of a token are merged by their log-sum-exp, which is exact. A prompt shared by G
// completions is thus one block of keys for all of their queries.
//
//     P (80 tokens) with children A, B (64 each):  causal P, A, B;  cross: queries A and B (128), keys P (80)
#ifndef GRPO_TRANSFORMER_FOREST_HPP
#define GRPO_TRANSFORMER_FOREST_HPP

#include <grpo/model.h>

#include <cstdint>
#include <vector>

namespace grpo::transformer {

// Queries [q, q + q_size) against keys [k, k + k_size), both ranges of tokens whose positions count up by one where it
// matters (window > 0).
struct Block {
  std::int64_t q = 0, q_size = 0, k = 0, k_size = 0;
  bool causal = false;        // the same range on both sides
  std::int64_t window = 0;    // > 0: query i sees key j if 0 <= distance + i - j < window
  std::int64_t distance = 0;  // position of the first query minus that of the first key
};

// What no target depends on is left out: a completion's last token is only ever a target.
struct Forest {
  std::int64_t tokens = 0;
  std::vector<std::int64_t> token;     // [tokens] ids
  std::vector<std::int32_t> position;  // [tokens]
  std::vector<std::int64_t> before;    // [tokens] the token before it on its path; -1: none
  std::int64_t longest = 0;            // path

  // Causal blocks first: each token is in exactly one of them.
  std::vector<Block> blocks(std::int64_t window) const;

  // Targets. Those at the same token share a row of logits.
  std::vector<std::int64_t> row_token;  // [rows] the token whose output is used
  std::vector<std::int64_t> row_start;  // [rows + 1] into target
  std::vector<std::int64_t> target;     // [targets] the caller's index
  std::vector<std::int32_t> target_id;  // [targets] the id scored, in the order of `target`
  std::int64_t rows() const { return static_cast<std::int64_t>(row_token.size()); }

 private:
  friend Forest read_forest(const grpo_forward&);
  struct Node {
    std::int64_t begin, end, subtree_end;  // tokens
    std::int64_t parent;                   // in this order; -1: a root
  };
  std::vector<Node> nodes_;
};

// The author's side has checked it (grpo/forest_check.hpp).
Forest read_forest(const grpo_forward& forward);

}  // namespace grpo::transformer

#endif
