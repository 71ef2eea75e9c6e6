#include "forest.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "errors.hpp"

namespace grpo::transformer {
namespace {

// How many tokens of each node targets depend on.
std::vector<std::int64_t> needed_tokens(const grpo_forward& a) {
  const grpo_forest& f = *a.forest;
  std::vector<std::int64_t> needed(static_cast<std::size_t>(f.n_nodes), 0);
  for (std::int64_t i = 0; i < a.n_targets; ++i) {
    const auto node = std::upper_bound(f.node_start, f.node_start + f.n_nodes, a.target_at[i]) - f.node_start - 1;
    auto& n = needed[static_cast<std::size_t>(node)];
    n = std::max(n, a.target_at[i] - f.node_start[node] + 1);
  }
  for (std::int64_t i = f.n_nodes; i-- > 0;)
    if (needed[static_cast<std::size_t>(i)] > 0 && f.parent[i] >= 0)
      needed[static_cast<std::size_t>(f.parent[i])] = f.node_start[f.parent[i] + 1] - f.node_start[f.parent[i]];
  return needed;
}

}  // namespace

Forest read_forest(const grpo_forward& a) {
  const grpo_forest& f = *a.forest;
  const auto n = static_cast<std::size_t>(f.n_nodes);

  const auto needed = needed_tokens(a);

  // Depth first; among siblings, the caller's order.
  std::vector<std::vector<std::int64_t>> children(n);
  std::vector<std::int64_t> stack;
  for (std::int64_t i = f.n_nodes - 1; i >= 0; --i) {
    if (f.parent[i] < 0) {
      stack.push_back(i);
    } else {
      children[static_cast<std::size_t>(f.parent[i])].push_back(i);  // in reverse, as a stack wants them
    }
  }
  Forest forest;
  std::vector<std::int64_t> place(n), moved(static_cast<std::size_t>(f.n_tokens));
  while (!stack.empty()) {
    const std::int64_t i = stack.back();
    stack.pop_back();
    const std::int64_t size = needed[static_cast<std::size_t>(i)];
    if (size == 0) continue;  // nor is anything below it needed
    const std::int64_t parent = f.parent[i] < 0 ? -1 : place[static_cast<std::size_t>(f.parent[i])];
    place[static_cast<std::size_t>(i)] = static_cast<std::int64_t>(forest.nodes_.size());
    const std::int64_t begin = forest.tokens;
    const std::int32_t first =
        parent < 0
            ? 0
            : forest.position[static_cast<std::size_t>(forest.nodes_[static_cast<std::size_t>(parent)].end - 1)] + 1;
    for (std::int64_t t = 0; t < size; ++t) {
      moved[static_cast<std::size_t>(f.node_start[i] + t)] = begin + t;
      forest.token.push_back(f.token[f.node_start[i] + t]);
      forest.position.push_back(first + static_cast<std::int32_t>(t));
      forest.before.push_back(t > 0        ? begin + t - 1
                              : parent < 0 ? -1
                                           : forest.nodes_[static_cast<std::size_t>(parent)].end - 1);
    }
    forest.tokens += size;
    forest.longest = std::max(forest.longest, first + size);
    forest.nodes_.push_back({begin, forest.tokens, forest.tokens, parent});
    for (const auto child : children[static_cast<std::size_t>(i)]) stack.push_back(child);
  }
  for (auto node = forest.nodes_.rbegin(); node != forest.nodes_.rend(); ++node)
    if (node->parent >= 0) {
      auto& parent = forest.nodes_[static_cast<std::size_t>(node->parent)];
      parent.subtree_end = std::max(parent.subtree_end, node->subtree_end);
    }

  // Targets, sorted by token.
  std::vector<std::int64_t> token_of(static_cast<std::size_t>(a.n_targets));
  for (std::size_t i = 0; i < token_of.size(); ++i) token_of[i] = moved[static_cast<std::size_t>(a.target_at[i])];
  forest.target.resize(token_of.size());
  std::iota(forest.target.begin(), forest.target.end(), 0);
  std::stable_sort(forest.target.begin(), forest.target.end(), [&](std::int64_t x, std::int64_t y) {
    return token_of[static_cast<std::size_t>(x)] < token_of[static_cast<std::size_t>(y)];
  });
  for (const auto i : forest.target) {
    const std::int64_t token = token_of[static_cast<std::size_t>(i)];
    if (forest.row_token.empty() || forest.row_token.back() != token) {
      forest.row_token.push_back(token);
      forest.row_start.push_back(static_cast<std::int64_t>(forest.target_id.size()));
    }
    forest.target_id.push_back(a.target_token[i]);
  }
  forest.row_start.push_back(a.n_targets);
  return forest;
}

std::vector<Block> Forest::blocks(std::int64_t window) const {
  std::vector<Block> blocks;
  const bool windowed = window > 0 && window < longest;
  for (const auto& node : nodes_) {
    const std::int64_t size = node.end - node.begin;
    blocks.push_back({node.begin, size, node.begin, size, true, windowed && size > window ? window : 0, 0});
  }
  if (!windowed) {
    for (const auto& node : nodes_)
      if (node.subtree_end > node.end)
        blocks.push_back({node.end, node.subtree_end - node.end, node.begin, node.end - node.begin, false, 0, 0});
    return blocks;
  }
  // With a window every pair of node and ancestor is cut to what is in sight, so that each query left has a key.
  for (const auto& node : nodes_)
    for (std::int64_t i = node.parent; i >= 0; i = nodes_[static_cast<std::size_t>(i)].parent) {
      const auto& up = nodes_[static_cast<std::size_t>(i)];
      const std::int64_t q_first = position[static_cast<std::size_t>(node.begin)];
      const std::int64_t k_first = position[static_cast<std::size_t>(up.begin)],
                         k_last = k_first + up.end - up.begin - 1;
      const std::int64_t q_size = std::min(node.end - node.begin, k_last + window - q_first);
      if (q_size <= 0) break;  // further ancestors are further away
      const std::int64_t skip = std::max<std::int64_t>(0, q_first - window + 1 - k_first);
      Block b{node.begin, q_size, up.begin + skip, up.end - up.begin - skip, false, 0, q_first - k_first - skip};
      if (b.distance + b.q_size - 1 >= window) b.window = window;  // its last query does not see its first key
      blocks.push_back(b);
    }
  return blocks;
}

}  // namespace grpo::transformer
