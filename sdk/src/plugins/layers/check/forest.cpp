// The arguments of a forward.
#include <algorithm>
#include <vector>

#include "model.hpp"

namespace grpo::plugins::check {
namespace {

std::string number(std::int64_t n) { return std::to_string(n); }

std::string shape_problem(const grpo_forest& f, const grpo_model_info& info) {
  if (too_short(&f)) return "the forest has a struct_size of " + number(f.struct_size);
  if (f.n_tokens < 1 || f.n_nodes < 1 || !f.token || !f.node_start || !f.parent) return "the forest is empty";
  if (info.max_tokens > 0 && f.n_tokens > info.max_tokens)
    return number(f.n_tokens) + " tokens; the model takes " + number(info.max_tokens);
  if (f.position && !(info.flags & GRPO_MODEL_POSITIONS)) return "positions, which the model does not take";
  if (f.n_extras != 0 && (!(info.flags & GRPO_MODEL_EXTRAS) || f.n_extras < 0 || !f.extras))
    return "extras, which the model does not take";
  if (f.node_start[0] != 0 || f.node_start[f.n_nodes] != f.n_tokens) return "node_start does not span the tokens";
  std::vector<std::int64_t> length(static_cast<std::size_t>(f.n_nodes)), depth(length.size());
  for (std::int64_t i = 0; i < f.n_nodes; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const std::int64_t own = f.node_start[i + 1] - f.node_start[i], parent = f.parent[i];
    if (own < 1) return "node " + number(i) + " is empty";
    if (parent < -1 || parent >= i) return "node " + number(i) + " has the parent " + number(parent);
    const auto above = static_cast<std::size_t>(std::max<std::int64_t>(parent, 0));
    length[at] = own + (parent < 0 ? 0 : length[above]);
    depth[at] = 1 + (parent < 0 ? 0 : depth[above]);
    if (info.max_positions > 0 && length[at] > info.max_positions)
      return "a path of " + number(length[at]) + " tokens; the model has " + number(info.max_positions) + " positions";
    if (info.max_depth > 0 && depth[at] > info.max_depth)
      return "a depth of " + number(depth[at]) + "; the model takes " + number(info.max_depth);
  }
  return {};
}

}  // namespace

std::string forward_problem(const grpo_forward* f, const grpo_model_info& info) {
  if (!f || too_short(f) || !f->forest) return "the arguments are NULL, or their struct_size is too small";
  if (auto problem = shape_problem(*f->forest, info); !problem.empty()) return problem;
  if (!(f->temperature > 0)) return "the temperature is " + std::to_string(f->temperature);
  if (f->n_targets < 0 || (f->n_targets > 0 && (!f->target_at || !f->target_token || !f->logprob)))
    return "an array of the targets is NULL";
  if (f->entropy && !(info.flags & GRPO_MODEL_ENTROPY)) return "an entropy, which the model does not give";
  const bool train = (f->flags & GRPO_FORWARD_TRAIN) != 0;
  if (train != (f->ticket != nullptr))
    return train ? "training without a place for the ticket" : "a ticket without training";
  if (train && !(info.flags & GRPO_MODEL_TRAIN)) return "training, which the model cannot";
  if ((f->flags & GRPO_FORWARD_BASE) && (train || !(info.flags & GRPO_MODEL_ADAPTED)))
    return train ? "training by the base weights" : "base weights, which stand beside no adapters";
  for (std::int64_t i = 0; i < f->forest->n_tokens; ++i)
    if (f->forest->token[i] < 0 || f->forest->token[i] >= info.vocabulary)
      return "token " + number(i) + " is the id " + number(f->forest->token[i]) + " of a vocabulary of " +
             number(info.vocabulary);
  for (std::int64_t i = 0; i < f->n_targets; ++i) {
    if (f->target_at[i] < 0 || f->target_at[i] >= f->forest->n_tokens)
      return "target " + number(i) + " is at token " + number(f->target_at[i]) + " of " + number(f->forest->n_tokens);
    if (f->target_token[i] < 0 || f->target_token[i] >= info.vocabulary)
      return "target " + number(i) + " is the id " + number(f->target_token[i]);
  }
  return {};
}

const grpo_forest* copy_forest(Scratch& m, const grpo_forest& from, std::int32_t axes) {
  grpo_forest* f = m.structure(from);
  f->token = m.input(f->token, f->n_tokens, "token");
  f->node_start = m.input(f->node_start, f->n_nodes + 1, "node_start");
  f->parent = m.input(f->parent, f->n_nodes, "parent");
  f->position = m.input(f->position, f->n_tokens * std::max(axes, 1), "position");
  m.lock(f, "the forest");
  return f;
}

}  // namespace grpo::plugins::check
