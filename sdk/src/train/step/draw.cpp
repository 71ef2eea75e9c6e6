#include "step/draw.hpp"

#include "pieces.hpp"

namespace grpo::train {

Drawing::Drawing(const config::Config& config, const Parts& parts)
    : config_(config),
      parts_(parts),
      sampling_(parts.session.sampling()),
      overlong_(overlong_of(config)),
      rule_(dynamic_sampling_of(config)) {
  for (const auto& reward : parts.scorer.rewards()) reward_names_.push_back(reward.name);
}

Drawn Drawing::step(std::int64_t step, double completion_length) {
  Drawn drawn;
  drawn.rollout = draw_step(rule_, reward_names_, [&](std::int64_t count, std::int64_t first) {
    auto prompts = next_prompts(count);
    auto options = rollout_options(step);
    options.first = first;
    options.prompts_per_piece = piece_of(prompts, completion_length);
    drawn.in_pieces = options.prompts_per_piece < prompts.size();
    if (drawn.in_pieces) {
      parts_.updater.begin(static_cast<std::int64_t>(prompts.size()) * config_.algorithm.group_size);
      options.piece_done = [this](std::span<Group> piece) { train_on(piece); };
    }
    Rollout rollout = collect(parts_.session, parts_.scorer, std::move(prompts), options);
    if (!drawn.in_pieces) shape_overlong(overlong_, rollout.groups);
    return rollout;
  });
  return drawn;
}

void Drawing::add_metrics(const Rollout& rollout, report::Metrics& metrics) const {
  add_rollout_metrics(rollout, metrics);
  add_dynamic_sampling_metrics(rule_, rollout, metrics);
  add_overlong_metrics(overlong_, all_groups(rollout), metrics);
}

std::vector<Prompt> Drawing::next_prompts(std::int64_t count) {
  std::vector<Prompt> prompts;
  for (const auto row : parts_.order.next(count)) prompts.push_back(parts_.prompts.prompt(row));
  return prompts;
}

RolloutOptions Drawing::rollout_options(std::int64_t step) const {
  RolloutOptions options;
  options.sampling = sampling_;
  options.group_size = config_.algorithm.group_size;
  options.key = grpo_random_key(static_cast<std::uint64_t>(config_.run.seed), static_cast<std::uint64_t>(step));
  options.step = step;
  options.train = true;
  options.progress = [this](double done, double total) { parts_.screen.progress("rollout", done, total); };
  return options;
}

// How many prompts are sampled before they are trained on.
std::size_t Drawing::piece_of(const std::vector<Prompt>& prompts, double completion_length) const {
  // Which groups are trained on is not known before all are there.
  if (rule_.keep != DynamicSampling::Keep::all) return prompts.size();
  if (!parts_.updater.can_take_pieces() || !algorithm::of_group_alone(parts_.advantage.kind) ||
      parts_.scorer.wants_whole_batch() || prompts.empty())
    return prompts.size();
  double tokens = 0;
  for (const Prompt& prompt : prompts) tokens += static_cast<double>(prompt.ids.size());
  const double longest = static_cast<double>(config_.sampler.max_new_tokens);
  return prompts_per_piece({.prompts = static_cast<std::int64_t>(prompts.size()),
                            .group_size = config_.algorithm.group_size,
                            .prompt_length = tokens / static_cast<double>(prompts.size()),
                            .completion_length = completion_length > 0 ? completion_length : longest,
                            .rollout_tokens = parts_.session.model().info().rollout_tokens});
}

void Drawing::train_on(std::span<Group> piece) {
  shape_overlong(overlong_, piece);
  if (parts_.advantage.kl) parts_.updater.prepare(piece);
  assign_advantages(piece, parts_.advantage);
  parts_.updater.accumulate(piece);
}

}  // namespace grpo::train
