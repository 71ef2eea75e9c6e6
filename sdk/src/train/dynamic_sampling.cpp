#include "grpo/sdk/train/dynamic_sampling.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "grpo/sdk/error.hpp"

namespace grpo::train {
namespace {

using Keep = DynamicSampling::Keep;

double score_of(const DynamicSampling& options, const Sample& sample) {
  return options.reward ? sample.scores.at(*options.reward) : sample.reward;
}

// Prompts to draw so that `missing` more are likely kept.
std::int64_t next_count(std::int64_t missing, std::int64_t kept, std::int64_t drawn, std::int64_t most) {
  if (kept == 0) return most;
  const double wanted = static_cast<double>(missing) * static_cast<double>(drawn) / static_cast<double>(kept);
  return std::min(most, static_cast<std::int64_t>(std::ceil(wanted)));
}

// Adds what a draw's rewards reported. Spreads cannot be added: they are made anew from the scores at the end.
void add_scores(ScoreReport& sum, const ScoreReport& more, double before, double added) {
  sum.seconds += more.seconds;
  sum.waited += more.waited;
  for (const auto& error : more.errors)
    if (std::find(sum.errors.begin(), sum.errors.end(), error) == sum.errors.end()) sum.errors.push_back(error);
  for (const auto& [name, value] : more.metrics) {
    const auto old = sum.metrics.find(name);
    const std::string_view last = std::string_view(name).substr(name.rfind('/') + 1);
    const bool total = last == "na" || last == "errors" || last == "timeouts" || last == "seconds";
    if (!old || std::isnan(*old))
      sum.metrics.set(name, value);
    else if (total)
      sum.metrics.set(name, *old + value);
    else if (!std::isnan(value))
      sum.metrics.set(name, (*old * before + value * added) / (before + added));
  }
}

void summarize_scores(const std::vector<std::string>& names, const std::vector<const Group*>& groups,
                      report::Metrics& metrics) {
  for (std::size_t r = 0; r < names.size(); ++r) {
    std::vector<double> scores;
    for (const Group* group : groups)
      for (const Sample& s : group->samples)
        if (!std::isnan(s.scores.at(r))) scores.push_back(s.scores[r]);
    if (scores.empty()) continue;
    const auto summary = report::summarize(scores);
    const std::string prefix = "rewards/" + names[r] + "/";
    metrics.set(prefix + "mean", summary.mean);
    metrics.set(prefix + "std", summary.std);
    metrics.set(prefix + "min", summary.min);
    metrics.set(prefix + "max", summary.max);
  }
}

}  // namespace

DynamicSampling dynamic_sampling_of(const config::Config& c) {
  const auto& a = c.algorithm;
  DynamicSampling options{.keep = a.dynamic_sampling == "varied" ? Keep::varied
                                  : a.dynamic_sampling == "mean" ? Keep::mean
                                                                 : Keep::all,
                          .low = a.dynamic_sampling_low,
                          .high = a.dynamic_sampling_high,
                          .reward = {},
                          .prompts = a.prompts_per_step,
                          .max_resamples = a.max_resamples};
  if (options.keep == Keep::all) return options;
  if (options.keep == Keep::mean && options.low >= options.high)
    throw Error(c.where("algorithm.dynamic_sampling_low") + ": no mean is above " + std::to_string(options.low) +
                " and below " + std::to_string(options.high) + " (algorithm.dynamic_sampling_high)");
  if (options.keep == Keep::varied && a.group_size == 1)
    throw Error(c.where("algorithm.dynamic_sampling") +
                ": the rewards of a group of one are always equal, so no group would be kept; raise "
                "algorithm.group_size");
  if (a.dynamic_sampling_reward.empty()) return options;
  std::string known;
  for (std::size_t i = 0; i < c.rewards.size(); ++i) {
    const auto& name = c.rewards[i].name.empty() ? c.rewards[i].plugin : c.rewards[i].name;
    if (name == a.dynamic_sampling_reward) options.reward = i;
    known += (known.empty() ? "" : ", ") + name;
  }
  if (!options.reward)
    throw Error(c.where("algorithm.dynamic_sampling_reward") + ": there is no reward '" + a.dynamic_sampling_reward +
                "' in this run; there are: " + known);
  return options;
}

bool keeps(const DynamicSampling& options, const Group& group) {
  if (options.keep == Keep::all) return true;
  double sum = 0, low = INFINITY, high = -INFINITY;
  std::int64_t n = 0;
  for (const Sample& s : group.samples) {
    const double score = score_of(options, s);
    if (std::isnan(score)) continue;
    sum += score, ++n;
    low = std::min(low, score), high = std::max(high, score);
  }
  if (n == 0) return false;
  if (options.keep == Keep::varied) return low < high;
  const double mean = sum / static_cast<double>(n);
  return options.low < mean && mean < options.high;
}

Rollout draw_step(const DynamicSampling& options, const std::vector<std::string>& reward_names, const Draw& draw) {
  if (options.keep == Keep::all) return draw(options.prompts, 0);
  Rollout step;
  std::int64_t drawn = 0, good = 0, count = options.prompts;
  for (std::int64_t resamples = 0;; ++resamples) {
    Rollout part = draw(count, drawn);
    add_scores(step.scores, part.scores, static_cast<double>(drawn), static_cast<double>(count));
    step.seconds += part.seconds;
    step.completion_tokens += part.completion_tokens;
    step.truncation.merge(part.truncation);
    step.truncation_max = std::max(step.truncation_max, part.truncation_max);
    drawn += count;
    for (Group& group : part.groups) {
      const bool keep = keeps(options, group);
      good += keep;
      const bool room = static_cast<std::int64_t>(step.groups.size()) < options.prompts;
      (keep && room ? step.groups : step.rejected).push_back(std::move(group));
    }
    const std::int64_t missing = options.prompts - static_cast<std::int64_t>(step.groups.size());
    step.resamples = resamples;
    step.kept_share = static_cast<double>(good) / static_cast<double>(drawn);
    if (missing == 0 || resamples == options.max_resamples) break;
    count = next_count(missing, good, drawn, options.prompts);
  }
  summarize_scores(reward_names, all_groups(step), step.scores.metrics);
  return step;
}

void add_dynamic_sampling_metrics(const DynamicSampling& options, const Rollout& rollout, report::Metrics& metrics) {
  if (options.keep == Keep::all) return;
  metrics.set("dynamic_sampling/prompts", static_cast<double>(rollout.groups.size() + rollout.rejected.size()));
  metrics.set("dynamic_sampling/resamples", static_cast<double>(rollout.resamples));
  metrics.set("dynamic_sampling/kept_share", rollout.kept_share);
}

}  // namespace grpo::train
