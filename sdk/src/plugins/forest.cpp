#include "grpo/sdk/plugins/forest.hpp"

#include <algorithm>
#include <string>

#include "grpo/sdk/error.hpp"

namespace grpo::plugins {

std::int64_t Forest::add(std::int64_t parent, std::span<const std::int32_t> ids) {
  if (ids.empty())
    throw Error("a forest's node " + std::to_string(n_nodes()) + " is empty; leave out sequences without tokens");
  if (parent < root || parent >= n_nodes()) {
    throw Error("a forest's node " + std::to_string(n_nodes()) + " continues node " + std::to_string(parent) +
                ", which does not exist");
  }
  token_.insert(token_.end(), ids.begin(), ids.end());
  node_start_.push_back(n_tokens());
  parent_.push_back(parent);
  level_.push_back(parent == root ? 1 : level_[static_cast<std::size_t>(parent)] + 1);
  return n_nodes() - 1;
}

std::int64_t Forest::add_scored(std::int64_t parent, std::span<const std::int32_t> ids) {
  return add_scored(parent, ids, std::vector<std::uint8_t>(ids.size(), 1));
}

std::int64_t Forest::add_scored(std::int64_t parent, std::span<const std::int32_t> ids,
                                std::span<const std::uint8_t> mask) {
  if (mask.size() != ids.size()) {
    throw Error("a forest's node has " + std::to_string(ids.size()) + " tokens and a mask of " +
                std::to_string(mask.size()));
  }
  const std::int64_t node = add(parent, ids);
  const std::int64_t start = node_start_[static_cast<std::size_t>(node)];
  // A token is predicted by the one before it on the path: for the first token the parent's last.
  std::int64_t before = parent == root ? -1 : node_start_[static_cast<std::size_t>(parent) + 1] - 1;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (mask[i] != 0 && before >= 0) add_target(before, ids[i]);
    before = start + static_cast<std::int64_t>(i);
  }
  return node;
}

void Forest::add_target(std::int64_t at, std::int32_t id) {
  if (at < 0 || at >= n_tokens())
    throw Error("a target at token " + std::to_string(at) + " of a forest of " + std::to_string(n_tokens()));
  target_at_.push_back(at);
  target_token_.push_back(id);
}

void Forest::clear() {
  token_.clear();
  target_token_.clear();
  node_start_.assign(1, 0);
  parent_.clear();
  target_at_.clear();
  level_.clear();
}

std::int32_t Forest::depth() const { return level_.empty() ? 0 : *std::max_element(level_.begin(), level_.end()); }

std::int64_t Forest::longest() const {
  std::vector<std::int64_t> length(parent_.size());
  std::int64_t most = 0;
  for (std::size_t i = 0; i < parent_.size(); ++i) {
    length[i] =
        node_start_[i + 1] - node_start_[i] + (parent_[i] == root ? 0 : length[static_cast<std::size_t>(parent_[i])]);
    most = std::max(most, length[i]);
  }
  return most;
}

Forest Forest::flattened(std::int32_t max_depth) const {
  if (max_depth <= 0 || depth() <= max_depth) return *this;
  Forest out;
  std::vector<std::int64_t> moved(token_.size(), -1);    // where a token went: its first copy
  std::vector<std::int64_t> kept(parent_.size(), root);  // a node of the upper levels in `out`
  std::vector<bool> inner(parent_.size());
  for (const std::int64_t p : parent_) {
    if (p != root) inner[static_cast<std::size_t>(p)] = true;
  }
  const auto copy = [&](std::int64_t parent, const std::vector<std::size_t>& nodes) {
    std::vector<std::int32_t> ids;
    std::int64_t to = out.n_tokens();
    for (const std::size_t node : nodes) {
      for (std::int64_t t = node_start_[node]; t < node_start_[node + 1]; ++t, ++to) {
        ids.push_back(token_[static_cast<std::size_t>(t)]);
        if (moved[static_cast<std::size_t>(t)] < 0) moved[static_cast<std::size_t>(t)] = to;
      }
    }
    return out.add(parent, ids);
  };
  for (std::size_t i = 0; i < parent_.size(); ++i) {
    // Levels above the last allowed one stay shared; below, every leaf gets a run of its own.
    if (level_[i] < max_depth) {
      kept[i] = copy(parent_[i] == root ? root : kept[static_cast<std::size_t>(parent_[i])], {i});
    } else if (!inner[i]) {
      std::vector<std::size_t> run{i};
      std::int64_t above = parent_[i];
      for (; above != root && level_[static_cast<std::size_t>(above)] >= max_depth;
           above = parent_[static_cast<std::size_t>(above)]) {
        run.insert(run.begin(), static_cast<std::size_t>(above));
      }
      copy(above == root ? root : kept[static_cast<std::size_t>(above)], run);
    }
  }
  for (std::size_t k = 0; k < target_at_.size(); ++k) {
    out.add_target(moved[static_cast<std::size_t>(target_at_[k])], target_token_[k]);
  }
  return out;
}

void Forest::fill(grpo_forest& out) const {
  out = {};
  out.struct_size = sizeof out;
  out.n_tokens = n_tokens();
  out.n_nodes = n_nodes();
  out.token = token_.data();
  out.node_start = node_start_.data();
  out.parent = parent_.data();
}

}  // namespace grpo::plugins
