#include "grpo/sdk/train/collect.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "grpo/sdk/error.hpp"
#include "grpo/sdk/report/console.hpp"

namespace grpo::train {
namespace {

std::vector<plugins::Request> requests_for(const std::vector<Group>& groups, std::size_t begin, std::size_t end,
                                           const RolloutOptions& options) {
  std::vector<plugins::Request> requests;
  for (std::size_t i = begin; i < end; ++i)
    requests.push_back({.id = i,
                        .key = grpo_random_key(options.key, static_cast<std::uint64_t>(options.first) + i),
                        .prompt = groups[i].prompt.ids,
                        .n_samples = options.group_size,
                        .sampling = options.sampling,
                        .train = options.train});
  return requests;
}

void fill(Sample& sample, plugins::Completion completion, const text::Tokenizer& tokenizer) {
  sample.ids = std::move(completion.ids);
  sample.finish = completion.finish;
  sample.text = tokenizer.decode(sample.ids, /*skip_special_tokens=*/true);
  // Only this kind is the distribution that training uses; another one says nothing about the ratio.
  if (completion.logprob_kind == GRPO_LOGPROB_TEMPERED) sample.logprob = std::move(completion.logprob);
}

bool parts_from_what_is_trained(const plugins::Sampling& s) {
  return s.top_p < 1 || s.top_k > 0 || s.min_p > 0 || s.repetition_penalty != 1;
}

void add_truncation(Rollout& rollout, const plugins::Completion& completion) {
  if (completion.logprob_kind != GRPO_LOGPROB_TEMPERED) return;
  if (completion.logprob.size() != completion.logprob_sampled.size()) return;
  for (std::size_t t = 0; t < completion.logprob.size(); ++t) {
    const double difference =
        std::abs(static_cast<double>(completion.logprob_sampled[t]) - static_cast<double>(completion.logprob[t]));
    if (!std::isfinite(difference)) continue;
    rollout.truncation.add(difference);
    rollout.truncation_max = std::max(rollout.truncation_max, difference);
  }
}

}  // namespace

std::vector<const Group*> all_groups(const Rollout& rollout) {
  std::vector<const Group*> all;
  for (const auto* part : {&rollout.groups, &rollout.rejected})
    for (const Group& group : *part) all.push_back(&group);
  return all;
}

std::int64_t num_completions(const Rollout& rollout) {
  std::int64_t n = 0;
  for (const Group* group : all_groups(rollout)) n += static_cast<std::int64_t>(group->samples.size());
  return n;
}

Rollout collect(Session& session, Scorer& scorer, std::vector<Prompt> prompts, const RolloutOptions& options) {
  Rollout rollout;
  for (Prompt& prompt : prompts) {
    Group group;
    group.prompt = std::move(prompt);
    group.samples.resize(static_cast<std::size_t>(options.group_size));
    rollout.groups.push_back(std::move(group));
  }
  std::vector<std::int64_t> missing(rollout.groups.size(), options.group_size);
  const double total = static_cast<double>(rollout.groups.size()) * static_cast<double>(options.group_size);
  double done = 0;

  scorer.begin(options.step, options.column_types);
  const auto take = [&](plugins::Completion completion) {
    Group& group = rollout.groups.at(completion.request);
    const auto request = completion.request;
    Sample& sample = group.samples.at(static_cast<std::size_t>(completion.index));
    if (options.sampling && parts_from_what_is_trained(*options.sampling)) add_truncation(rollout, completion);
    fill(sample, std::move(completion), session.text()->tokenizer);
    rollout.completion_tokens += static_cast<std::int64_t>(sample.ids.size());
    if (--missing[request] == 0) scorer.add(group);
    if (options.progress) options.progress(++done, total);
  };
  const std::size_t n = rollout.groups.size(), piece = options.prompts_per_piece ? options.prompts_per_piece : n;
  std::exception_ptr failure;
  try {
    for (std::size_t begin = 0; begin < n; begin += piece) {
      const std::size_t end = std::min(begin + piece, n);
      const auto start = std::chrono::steady_clock::now();
      session.sampler().generate(requests_for(rollout.groups, begin, end, options), take);
      rollout.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      if (!options.piece_done) continue;
      scorer.settle();
      options.piece_done(std::span(rollout.groups).subspan(begin, end - begin));
    }
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) {
    // The rewards still hold groups of this rollout: let them end before it goes away.
    try {
      scorer.finish();
    } catch (...) {  // the first failure is the one to tell
    }
    std::rethrow_exception(failure);
  }
  rollout.scores = scorer.finish();
  for (const std::string& error : rollout.scores.errors) report::log(report::Level::warning, error);
  return rollout;
}

void add_rollout_metrics(const Rollout& rollout, report::Metrics& metrics) {
  std::vector<double> lengths, terminated, prompts;
  double clipped = 0;
  for (const Group* group : all_groups(rollout)) {
    prompts.push_back(static_cast<double>(group->prompt.ids.size()));
    for (const Sample& s : group->samples) {
      lengths.push_back(static_cast<double>(s.ids.size()));
      if (s.finish == GRPO_FINISH_STOP)
        terminated.push_back(static_cast<double>(s.ids.size()));
      else
        clipped += 1;
    }
  }
  const auto all = report::summarize(lengths), ended = report::summarize(terminated),
             asked = report::summarize(prompts);
  metrics.set("completions/mean_length", all.mean);
  metrics.set("completions/min_length", all.min);
  metrics.set("completions/max_length", all.max);
  metrics.set("completions/clipped_ratio", lengths.empty() ? 0 : clipped / static_cast<double>(lengths.size()));
  metrics.set("completions/mean_terminated_length", ended.mean);
  metrics.set("completions/min_terminated_length", ended.min);
  metrics.set("completions/max_terminated_length", ended.max);
  metrics.set("prompt_length/mean", asked.mean);
  metrics.set("prompt_length/min", asked.min);
  metrics.set("prompt_length/max", asked.max);
  if (rollout.truncation.count > 0) {
    metrics.set("sampling/truncation_difference/mean", rollout.truncation.value());
    metrics.set("sampling/truncation_difference/max", rollout.truncation_max);
  }
  for (const auto& [name, value] : rollout.scores.metrics) metrics.set(name, value);
}

}  // namespace grpo::train
