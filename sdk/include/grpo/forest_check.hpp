// forest_check.hpp: is a forest one? model.hpp asks before a model's forward, so that no author's code meets an index
// that points nowhere. Costs one look at each token, node and target.
#ifndef GRPO_FOREST_CHECK_HPP
#define GRPO_FOREST_CHECK_HPP

#include <grpo/model.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "author.hpp"

#pragma GCC visibility push(hidden)
namespace grpo {
inline namespace v1 {

// Throws failure, GRPO_STATUS_INVALID, naming the array and the element: not a forest, deeper or longer than the model
// takes, an id out of its vocabulary, a target at no token, a temperature that is not above 0.
inline void check_forest(const grpo_model_info& info, const grpo_forward& a) {
  const grpo_forest& f = *a.forest;
  const auto require = [](bool good, const std::string& text) {
    if (!good) throw failure(GRPO_STATUS_INVALID, text);
  };
  const auto name = [](const char* what, std::int64_t i, std::int64_t value) {
    return std::string(what) + "[" + std::to_string(i) + "] is " + std::to_string(value);
  };
  const std::string outside = ", outside the vocabulary of " + std::to_string(info.vocabulary);

  require(f.n_tokens > 0 && f.n_nodes > 0, "the forest is empty");
  require(f.node_start[0] == 0 && f.node_start[f.n_nodes] == f.n_tokens,
          "node_start does not run from 0 to n_tokens, " + std::to_string(f.n_tokens));
  std::vector<std::int64_t> length(static_cast<std::size_t>(f.n_nodes)), level(length);  // of the path to each node
  for (std::int64_t i = 0; i < f.n_nodes; ++i) {
    if (f.node_start[i] >= f.node_start[i + 1])
      require(false, name("node_start", i + 1, f.node_start[i + 1]) + ", which does not increase");
    if (f.parent[i] < -1 || f.parent[i] >= i)
      require(false, name("parent", i, f.parent[i]) + "; parents come before their children");
    const auto node = static_cast<std::size_t>(i);
    const bool root = f.parent[i] < 0;
    length[node] = f.node_start[i + 1] - f.node_start[i] + (root ? 0 : length[static_cast<std::size_t>(f.parent[i])]);
    level[node] = 1 + (root ? 0 : level[static_cast<std::size_t>(f.parent[i])]);
    if (length[node] > info.max_positions)
      require(false, "the path to node " + std::to_string(i) + " has " + std::to_string(length[node]) +
                         " tokens; the model takes " + std::to_string(info.max_positions));
    if (info.max_depth > 0 && level[node] > info.max_depth)
      require(false, "node " + std::to_string(i) + " is on level " + std::to_string(level[node]) +
                         "; the model takes " + std::to_string(info.max_depth));
  }
  for (std::int64_t i = 0; i < f.n_tokens; ++i)
    if (f.token[i] < 0 || f.token[i] >= info.vocabulary) require(false, name("token", i, f.token[i]) + outside);

  require(a.temperature > 0 && std::isfinite(a.temperature), "temperature is not above 0");
  require(a.n_targets >= 0, "n_targets is negative");
  for (std::int64_t i = 0; i < a.n_targets; ++i) {
    if (a.target_at[i] < 0 || a.target_at[i] >= f.n_tokens)
      require(false, name("target_at", i, a.target_at[i]) + ", which is no token of the forest");
    if (a.target_token[i] < 0 || a.target_token[i] >= info.vocabulary)
      require(false, name("target_token", i, a.target_token[i]) + outside);
  }
}

}  // namespace v1
}  // namespace grpo
#pragma GCC visibility pop

#endif
