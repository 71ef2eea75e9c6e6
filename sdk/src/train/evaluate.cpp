#include "grpo/sdk/train/evaluate.hpp"

#include <algorithm>
#include <cmath>

#include "grpo/sdk/error.hpp"

namespace grpo::train {
namespace {

std::int64_t max_new_tokens(const config::Config& config) {
  return config.evaluation.max_new_tokens > 0 ? config.evaluation.max_new_tokens : config.sampler.max_new_tokens;
}

// The key that decides how long a completion may be.
const char* config_key(const config::Config& config) {
  return config.evaluation.max_new_tokens > 0 ? "evaluation.max_new_tokens" : "sampler.max_new_tokens";
}

std::shared_ptr<plugins::Sampling> sampling_of(const Session& session) {
  const auto& e = session.config().evaluation;
  auto sampling = std::make_shared<plugins::Sampling>(*session.sampling());
  sampling->temperature = e.temperature;
  sampling->top_p = e.top_p;
  sampling->top_k = 0;
  sampling->min_p = 0;
  sampling->max_new = static_cast<std::int32_t>(max_new_tokens(session.config()));
  sampling->min_new = std::min(sampling->min_new, sampling->max_new);
  if (e.samples > 1 && e.temperature == 0)
    throw Error(session.config().where("evaluation.samples") +
                ": several greedy completions of a prompt are all equal; set evaluation.temperature above 0");
  return sampling;
}

// Keys of evaluation draws lie apart from those of training steps, which count from 1.
constexpr std::uint64_t evaluation_stream = 0x6576616c00000000u;

}  // namespace

Evaluator::Evaluator(Session& session)
    : session_(session),
      prompts_(session.text(), session.config().evaluation.path, data::PromptOptions::of_evaluation(session.config()),
               session.config().data, session.config().evaluation.max_samples,
               session.prompt_limit(max_new_tokens(session.config()), config_key(session.config()))),
      column_types_(prompts_.column_types()),
      sampling_(sampling_of(session)) {
  const auto& config = session.config();
  const auto& wanted = config.evaluation.reward;
  if (wanted.empty()) return;
  for (const auto& reward : config.rewards) {
    if (wanted == (reward.name.empty() ? reward.plugin : reward.name)) return;
    ++deciding_reward_;
  }
  throw Error(config.where("evaluation.reward") + ": there is no reward '" + wanted + "' in this run");
}

report::Metrics Evaluator::run(Scorer& scorer, report::Console* console, const std::function<bool()>& stop) {
  const auto& config = session_.config();
  const std::int64_t n = prompts_.size(), batch = config.evaluation.batch_size;
  std::vector<double> rewards, lengths;
  std::vector<std::vector<double>> scores(scorer.rewards().size());
  double right = 0, solved = 0, clipped = 0, seconds = 0;
  for (std::int64_t first = 0; first < n; first += batch) {
    if (stop && stop()) return {};
    std::vector<Prompt> prompts;
    for (std::int64_t i = first; i < std::min(n, first + batch); ++i) prompts.push_back(prompts_.prompt(i));
    RolloutOptions options;
    options.sampling = sampling_;
    options.group_size = config.evaluation.samples;
    options.key = grpo_random_key(static_cast<std::uint64_t>(config.run.seed), evaluation_stream);
    options.first = first;
    options.column_types = &column_types_;
    if (console)
      options.progress = [&](double done, double) {
        console->progress("evaluation",
                          static_cast<double>(first) * static_cast<double>(config.evaluation.samples) + done,
                          static_cast<double>(n) * static_cast<double>(config.evaluation.samples));
      };
    const Rollout rollout = collect(session_, scorer, std::move(prompts), options);
    seconds += rollout.seconds + rollout.scores.waited;
    for (const Group& group : rollout.groups) {
      bool any = false;
      for (const Sample& s : group.samples) {
        rewards.push_back(s.reward);
        lengths.push_back(static_cast<double>(s.ids.size()));
        clipped += s.finish != GRPO_FINISH_STOP;
        for (std::size_t r = 0; r < scores.size(); ++r) scores[r].push_back(s.scores[r]);
        const bool is_right = s.scores[deciding_reward_] > 0.5;  // a NaN is not
        right += is_right;
        any = any || is_right;
      }
      solved += any;
    }
  }
  const auto count = static_cast<double>(rewards.size());
  report::Metrics metrics;
  const auto mean = [](const std::vector<double>& values) {
    const auto summary = report::summarize(values);
    return summary.n > 0 ? summary.mean : no_value;
  };
  metrics.set("eval/accuracy", right / count);
  if (config.evaluation.samples > 1)
    metrics.set("eval/pass@" + std::to_string(config.evaluation.samples), solved / static_cast<double>(n));
  metrics.set("eval/reward", mean(rewards));
  for (std::size_t r = 0; r < scores.size(); ++r)
    metrics.set("eval/rewards/" + scorer.rewards()[r].name + "/mean", mean(scores[r]));
  metrics.set("eval/completions/mean_length", report::summarize(lengths).mean);
  metrics.set("eval/completions/clipped_ratio", clipped / count);
  metrics.set("eval/num_questions", static_cast<double>(n));
  metrics.set("timing/eval", seconds);
  return metrics;
}

}  // namespace grpo::train
