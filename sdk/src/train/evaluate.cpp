#include "grpo/sdk/train/evaluate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <grpo/kit/grading.hpp>
#include <nlohmann/json.hpp>

#include "completions_file.hpp"
#include "grpo/sdk/error.hpp"
#include "grpo/sdk/plugins/call.hpp"
#include "grpo/sdk/train/best_of.hpp"
#include "grpo/sdk/train/model_directory.hpp"

namespace grpo::train {
namespace {

// Keys of evaluation draws lie apart from those of training steps, which count from 1.
constexpr std::uint64_t evaluation_stream = 0x6576616c00000000u;

// A set draws by its name, so that sets beside it change nothing (FNV-1a).
std::uint64_t number_of(const std::string& name) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

Graded grade(const Prompt& prompt, const Sample& sample) {
  if (prompt.ground_truth.empty()) return {};
  const std::string gold = kit::extract_gold(prompt.ground_truth);
  const auto right = [&](const kit::ExtractOptions& options) {
    const auto answer = kit::extract_answer(sample.text, options);
    return answer && kit::answers_equal(gold, *answer);
  };
  return {.known = true, .strict = right({.boxed_only = true}), .lenient = right({.last_number = true})};
}

double mean(const std::vector<double>& values) { return mean_of(values).value; }

// The completions of one way of asking, question by question.
class Tally {
 public:
  explicit Tally(std::size_t rewards) : scores_(rewards) {}

  void question(std::int64_t right, std::int64_t strict, std::int64_t lenient, bool graded, std::int64_t samples) {
    const auto n = static_cast<double>(samples);
    right_.push_back(static_cast<double>(right) / n);
    strict_.push_back(graded ? static_cast<double>(strict) / n : no_value);
    lenient_.push_back(graded ? static_cast<double>(lenient) / n : no_value);
    counts_.emplace_back(samples, right);
  }
  void completion(const Sample& sample) {
    reward_.push_back(sample.reward);
    length_ += static_cast<double>(sample.ids.size());
    clipped_ += sample.finish != GRPO_FINISH_STOP;
    for (std::size_t r = 0; r < scores_.size(); ++r) scores_[r].push_back(sample.scores[r]);
  }

  AskedOnce result(const std::vector<WeightedReward>& rewards) const {
    AskedOnce out;
    const auto n = static_cast<double>(reward_.size());
    out.completions = static_cast<std::int64_t>(reward_.size());
    out.accuracy = mean_of(right_);
    out.strict = mean_of(strict_);
    out.lenient = mean_of(lenient_);
    if (n > 0) out.mean_length = length_ / n, out.clipped_ratio = clipped_ / n;
    out.reward = mean(reward_);
    for (std::size_t r = 0; r < scores_.size(); ++r) out.rewards.emplace_back(rewards[r].name, mean(scores_[r]));
    return out;
  }
  Estimate pass(std::int64_t k) const {
    std::vector<double> each;
    for (const auto& [n, right] : counts_) each.push_back(pass_at_k(n, right, k));
    return mean_of(each);
  }

 private:
  std::vector<double> right_, strict_, lenient_, reward_;
  std::vector<std::pair<std::int64_t, std::int64_t>> counts_;  // samples, right ones
  std::vector<std::vector<double>> scores_;
  double length_ = 0, clipped_ = 0;
};

std::vector<std::int64_t> sizes_within(std::vector<std::int64_t> sizes, std::int64_t samples) {
  std::sort(sizes.begin(), sizes.end());
  sizes.erase(std::unique(sizes.begin(), sizes.end()), sizes.end());
  std::erase_if(sizes, [samples](std::int64_t n) { return n > samples; });
  return sizes;
}

void add_question(BestOfTally& tally, const Group& group, std::size_t deciding_reward) {
  std::vector<double> right, rewards;
  std::vector<std::string_view> completions;
  for (const Sample& s : group.samples) {
    right.push_back(s.scores[deciding_reward] > 0.5 ? 1 : 0);
    rewards.push_back(s.reward);
    completions.push_back(s.text);
  }
  tally.question(right, rewards, completions);
}

config::EvaluationDataset entry_of_path(const config::Config& config) {
  config::EvaluationDataset entry;
  entry.path = config.evaluation.path;
  entry.name = config.evaluation.path.stem().string();
  return entry;
}

}  // namespace

bool has_evaluation(const config::Config& config) {
  return !config.evaluation.path.empty() || !config.evaluation_datasets.empty();
}

void check_evaluation_files(const config::Config& config) {
  if (!config.evaluation.path.empty()) check_data_file(config, "evaluation.path", config.evaluation.path);
  for (std::size_t i = 0; i < config.evaluation_datasets.size(); ++i)
    check_data_file(config, ("evaluation.datasets." + std::to_string(i) + ".path").c_str(),
                    config.evaluation_datasets[i].path);
}

// Greedy or sampled.
struct Evaluator::Way {
  const char* name;
  std::shared_ptr<const plugins::Sampling> sampling;
  std::int64_t samples = 1;
};

struct Evaluator::Set {
  Set(std::string name, Session& session, const std::filesystem::path& path, data::PromptOptions options,
      std::int64_t max_rows, std::int64_t limit)
      : name(std::move(name)),
        prompts(session.text(), path, std::move(options), session.config().data, max_rows, limit),
        column_types(prompts.column_types()) {}
  std::string name;
  PromptSet prompts;
  plugins::ColumnTypes column_types;
  std::int64_t max_new = 0;
  std::optional<Way> greedy, sampled;
};

Evaluator::Evaluator(Session& session) : session_(session) {
  const auto& config = session.config();
  if (!config.evaluation.path.empty())
    sets_.push_back(
        open(entry_of_path(config), data::PromptOptions::of_evaluation(config), "evaluation.max_new_tokens"));
  for (std::size_t i = 0; i < config.evaluation_datasets.size(); ++i)
    sets_.push_back(open(config.evaluation_datasets[i], data::PromptOptions::of_evaluation(config, i),
                         "evaluation.datasets." + std::to_string(i) + ".max_new_tokens"));
  const auto& wanted = config.evaluation.reward;
  if (wanted.empty()) return;
  for (const auto& reward : config.rewards) {
    if (wanted == (reward.name.empty() ? reward.plugin : reward.name)) return;
    ++deciding_reward_;
  }
  throw Error(config.where("evaluation.reward") + ": there is no reward '" + wanted + "' in this run");
}

Evaluator::~Evaluator() = default;

// key: the one that limits completions, if it is given.
std::unique_ptr<Evaluator::Set> Evaluator::open(const config::EvaluationDataset& entry, data::PromptOptions prompts,
                                                const std::string& key) const {
  const auto& config = session_.config();
  const auto& e = config.evaluation;
  const auto first_given = [](std::initializer_list<std::pair<std::int64_t, std::string>> places) {
    for (const auto& [value, from] : places)
      if (value > 0) return std::pair(value, from);
    return *(places.end() - 1);
  };
  const auto [max_new, limited_by] = first_given({{entry.max_new_tokens, key},
                                                  {e.max_new_tokens, "evaluation.max_new_tokens"},
                                                  {config.sampler.max_new_tokens, "sampler.max_new_tokens"}});
  auto set = std::make_unique<Set>(entry.name, session_, entry.path, std::move(prompts),
                                   entry.max_samples == 0 ? e.max_samples : entry.max_samples,
                                   session_.prompt_limit(max_new, limited_by.c_str()));
  set->max_new = max_new;
  auto sampling = *session_.sampling();
  sampling.top_k = 0;
  sampling.min_p = 0;
  sampling.top_p = 1;
  sampling.temperature = 0;
  sampling.max_new = static_cast<std::int32_t>(max_new);
  sampling.min_new = std::min(sampling.min_new, sampling.max_new);
  if (e.greedy || e.temperature == 0)
    set->greedy = Way{"greedy", std::make_shared<const plugins::Sampling>(sampling), 1};
  if (e.temperature == 0) return set;
  sampling.temperature = e.temperature;
  sampling.top_p = e.top_p;
  set->sampled =
      Way{"sample", std::make_shared<const plugins::Sampling>(sampling), entry.samples > 0 ? entry.samples : e.samples};
  return set;
}

std::int64_t Evaluator::size() const {
  std::int64_t n = 0;
  for (const auto& set : sets_) n += set->prompts.size();
  return n;
}

report::Metrics Evaluator::run(Scorer& scorer, const EvaluateOptions& options) {
  const Evaluation found = evaluate(scorer, options);
  return found.complete ? metrics_of(found) : report::Metrics();
}

Evaluation Evaluator::evaluate(Scorer& scorer, const EvaluateOptions& options) {
  std::optional<CompletionsFile> file;
  if (!options.save_to.empty()) {
    std::error_code error;
    std::filesystem::create_directories(options.save_to, error);
    if (error) throw Error(options.save_to.string() + ": this directory cannot be made: " + error.message());
    if (session_.config().evaluation.save_completions) file.emplace(options.save_to / "completions.jsonl");
  }
  Evaluation evaluation;
  bool stopped = false;
  for (const auto& set : sets_) {
    evaluation.datasets.push_back(evaluate(*set, scorer, options, file ? &*file : nullptr, stopped));
    if (evaluation.datasets.back().questions == 0) evaluation.datasets.pop_back();
    if (stopped) break;
    if (options.console && sets_.size() > 1) options.console->line(summary_line(evaluation.datasets.back()));
  }
  evaluation.complete = !stopped;
  if (!options.save_to.empty()) {
    auto json = to_json(evaluation);
    json["model"] = session_.model_directory().string();
    json["table"] = table(evaluation, session_.config().evaluation.pass_k);
    write_file(options.save_to / "eval.json", json.dump(2) + "\n");
  }
  return evaluation;
}

DatasetResult Evaluator::evaluate(const Set& set, Scorer& scorer, const EvaluateOptions& options, CompletionsFile* file,
                                  bool& stopped) {
  const auto& config = session_.config();
  const std::int64_t n = set.prompts.size(), batch = config.evaluation.batch_size;
  const auto& rewards = scorer.rewards();
  Tally greedy(rewards.size()), sampled(rewards.size());
  BestOfTally best(sizes_within(config.evaluation.best_of, set.sampled ? set.sampled->samples : 0));
  DatasetResult result;
  result.name = set.name;
  result.path = set.prompts.dataset().path().string();
  result.rows = n;
  result.max_new_tokens = set.max_new;
  if (set.sampled) result.samples = set.sampled->samples, result.temperature = config.evaluation.temperature;
  const auto per_question = static_cast<double>((set.greedy ? 1 : 0) + result.samples);

  const auto ask = [&](const Way& way, const std::vector<Prompt>& prompts, std::int64_t first, double before) {
    RolloutOptions o;
    o.sampling = way.sampling;
    o.group_size = way.samples;
    const auto seed = static_cast<std::uint64_t>(config.run.seed);
    o.key = grpo_random_key(grpo_random_key(seed, evaluation_stream), number_of(set.name));
    o.first = first;
    o.column_types = &set.column_types;
    if (options.console)
      o.progress = [&, before](double done, double) {
        options.console->progress("evaluation, " + set.name, before + done, static_cast<double>(n) * per_question);
      };
    Rollout rollout = collect(session_, scorer, prompts, o);
    result.seconds += rollout.seconds + rollout.scores.waited;
    return rollout;
  };
  const auto count = [&](const Way& way, const Rollout& rollout, Tally& tally) {
    for (const Group& group : rollout.groups) {
      std::int64_t right = 0, strict = 0, lenient = 0;
      bool graded = false;
      for (std::size_t i = 0; i < group.samples.size(); ++i) {
        const Sample& s = group.samples[i];
        const bool is_right = s.scores[deciding_reward_] > 0.5;  // a NaN is not
        const Graded marks = grade(group.prompt, s);
        right += is_right, strict += marks.strict, lenient += marks.lenient;
        graded = marks.known;
        tally.completion(s);
        if (file) file->write(set.name, way.name, group.prompt, i, s, is_right, marks, rewards);
      }
      tally.question(right, strict, lenient, graded, way.samples);
      if (&tally == &sampled) add_question(best, group, deciding_reward_);
    }
  };

  for (std::int64_t first = 0; first < n; first += batch) {
    if ((stopped = options.stop && options.stop())) break;
    std::vector<Prompt> prompts;
    for (std::int64_t i = first; i < std::min(n, first + batch); ++i) prompts.push_back(set.prompts.prompt(i));
    const auto asked = static_cast<double>(prompts.size());
    std::optional<Rollout> one, several;  // of the batch: both count, or neither
    try {
      double before = static_cast<double>(first) * per_question;
      if (set.greedy) one = ask(*set.greedy, prompts, first, before), before += asked;
      if (set.sampled) several = ask(*set.sampled, prompts, first, before);
    } catch (const plugins::CallError& e) {
      if (e.status() != GRPO_STATUS_CANCELLED || !options.stop || !options.stop()) throw;
      stopped = true;
      break;
    }
    if (one) count(*set.greedy, *one, greedy);
    if (several) count(*set.sampled, *several, sampled);
    if (file) file->flush();
    result.questions += static_cast<std::int64_t>(prompts.size());
  }
  if (result.questions == 0) return result;
  if (set.greedy) result.greedy = greedy.result(rewards);
  if (set.sampled) result.sampled = sampled.result(rewards);
  std::vector<std::int64_t> ks(config.evaluation.pass_k.begin(), config.evaluation.pass_k.end());
  if (result.samples > 1) ks.push_back(result.samples);
  std::sort(ks.begin(), ks.end());
  ks.erase(std::unique(ks.begin(), ks.end()), ks.end());
  for (const auto k : ks)
    if (k <= result.samples) result.pass_at.emplace_back(k, sampled.pass(k));
  result.best_of = best.result();
  return result;
}

}  // namespace grpo::train
