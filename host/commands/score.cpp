// score: any reward plugin over saved samples, without a model.
#include <algorithm>
#include <cmath>
#include <iostream>

#include "commands.hpp"
#include "filter.hpp"
#include "grpo/sdk/error.hpp"
#include "grpo/sdk/plugins/checked.hpp"
#include "grpo/sdk/plugins/left_behind.hpp"
#include "grpo/sdk/plugins/recorded.hpp"
#include "grpo/sdk/plugins/reward.hpp"
#include "grpo/sdk/report/console.hpp"
#include "grpo/sdk/report/visible.hpp"
#include "grpo/sdk/train/components.hpp"
#include "grpo/sdk/train/session.hpp"

namespace grpo::host {
namespace {

struct ScoreArguments {
  RunArguments run;
  std::string reward, options = "{}", prompt_key = "prompt", completion_key = "completion", answer_key = "ground_truth",
                      record;
  std::size_t batch = 64;
  double timeout = 60, memory = 4;
  bool isolate = false;
};

// A text as it is, anything else as JSON.
std::string text_of(const Json& row, const std::string& key) {
  const auto at = row.find(key);
  if (at == row.end() || at->is_null()) return {};
  return at->is_string() ? at->get<std::string>() : at->dump();
}

const char* status_name(std::int32_t status) {
  switch (status) {
    case GRPO_SAMPLE_OK:
      return "ok";
    case GRPO_SAMPLE_NOT_APPLICABLE:
      return "not_applicable";
    case GRPO_SAMPLE_TIMEOUT:
      return "timeout";
    default:
      return "error";
  }
}

// The reward of the command, called batch by batch. One that does not come back is called no more in this process.
class Scoring {
 public:
  explicit Scoring(const ScoreArguments& a)
      : a_(a), registry_(train::make_registry(a.run.plugin_places())), options_(options_of(a)), reward_(opened()) {}

  plugins::RewardScores score(plugins::RewardBatch batch) {
    return reward_.score(std::move(batch), {.timeout = plugins::duration_of(a_.timeout)});
  }

 private:
  static nlohmann::json options_of(const ScoreArguments& a) {
    auto options = nlohmann::json::parse(a.options, nullptr, false);
    if (!options.is_object()) throw Error("--options: not a JSON object: " + a.options);
    return options;
  }
  plugins::LeavableReward opened() {
    const bool check = a_.run.check || plugins::check_by_default();
    plugins::IsolateSettings isolate;
    isolate.memory_gib = a_.memory;
    const auto component =
        train::load_component(registry_, GRPO_REWARD_ID, a_.reward, check, a_.isolate ? &isolate : nullptr);
    auto shown = component;
    if (!a_.record.empty())
      shown = plugins::recorded(component, {.file = a_.record, .host = "grpo-host " GRPO_VERSION});
    plugins::LeavableReward::Settings settings;
    settings.warn = [](const std::string& text) { report::log(report::Level::warning, text); };
    if (!a_.isolate) settings.reopen = [=, this] { return open(train::isolated_component(component, check, isolate)); };
    return {open(shown), std::move(settings)};
  }
  std::shared_ptr<plugins::Reward> open(const std::shared_ptr<const plugins::Component>& component) const {
    return std::make_shared<plugins::Reward>(component, options_,
                                             plugins::OpenSettings{.services = train::make_services(nullptr, 1),
                                                                   .where = "--options",
                                                                   .label = a_.reward,
                                                                   .progress = nullptr});
  }

  const ScoreArguments& a_;
  plugins::Registry registry_;
  nlohmann::json options_;
  plugins::LeavableReward reward_;
};

// How many samples got what, for the end.
struct Counts {
  std::int64_t samples = 0, scored = 0, errors = 0, timeouts = 0;
  std::string first;  // message

  void add(const plugins::RewardScores& scores) {
    for (std::size_t i = 0; i < scores.status.size(); ++i) {
      ++samples;
      const auto status = scores.status[i];
      scored += status == GRPO_SAMPLE_OK;
      errors += status == GRPO_SAMPLE_ERROR;
      timeouts += status == GRPO_SAMPLE_TIMEOUT;
      if ((status == GRPO_SAMPLE_ERROR || status == GRPO_SAMPLE_TIMEOUT) && first.empty()) first = scores.message[i];
    }
  }
  // The exit status: a reward that failed on everything it was asked has not worked.
  int told() const {
    if (errors + timeouts == 0) return 0;
    std::cerr << "grpo-host: " << errors << (errors == 1 ? " error and " : " errors and ") << timeouts
              << (timeouts == 1 ? " time-out" : " time-outs") << " in " << samples
              << (samples == 1 ? " sample" : " samples") << "; the first: " << report::visible(first) << '\n';
    return errors + timeouts == samples ? 1 : 0;
  }
};

int score(const ScoreArguments& a) {
  Scoring scoring(a);
  Counts counts;
  const int lines = filter_batches(a.batch, [&](const std::vector<Json>& rows) {
    plugins::RewardBatch batch;
    std::vector<Json> out(rows.size());
    std::vector<std::size_t> used;  // the rows of the batch's samples
    for (std::size_t i = 0; i < rows.size(); ++i) try {
        const Json& row = rows[i];
        const std::string prompt = text_of(row, a.prompt_key), truth = text_of(row, a.answer_key),
                          completion = text_member(row, a.completion_key.c_str());
        const nlohmann::json columns(row);
        const auto ids = row.contains("ids") ? ids_member(row, "ids") : std::vector<std::int32_t>();
        const bool cut = row.value("finish", std::string("stop")) == "length";  // may throw: before the row is added
        const auto at = batch.add_row(
            {.prompt = prompt, .messages = {}, .ground_truth = truth, .prompt_ids = {}, .columns = &columns});
        batch.add_sample({.row = at,
                          .index = 0,
                          .completion = completion,
                          .finish = cut ? GRPO_FINISH_LENGTH : GRPO_FINISH_STOP,
                          .ids = ids});
        used.push_back(i);
      } catch (const std::exception& e) {
        out[i] = {{"error", e.what()}};
      }
    const auto scores = scoring.score(std::move(batch));
    counts.add(scores);
    for (std::size_t i = 0; i < used.size(); ++i) {
      Json row = {{"score", std::isnan(scores.score[i]) ? Json(nullptr) : Json(scores.score[i])},
                  {"status", status_name(scores.status[i])}};
      if (!scores.message[i].empty()) row["message"] = scores.message[i];
      for (const auto& [name, column] : scores.components)
        if (!std::isnan(column[i])) row["components"][name] = column[i];
      out[used[i]] = std::move(row);
    }
    return out;
  });
  return std::max(lines, counts.told());
}

}  // namespace

void add_score(Command program) {
  Command sub = program.command(
      "score",
      R"(A reward plugin over saved samples: {"prompt","completion","ground_truth","ids", columns...} in, {"score","status",...} out. Exit status 1: a line that is no sample, or no sample that did not fail)");
  sub.group(group_filters);
  auto a = std::make_shared<ScoreArguments>();
  a->run.add_plugins(sub);
  a->run.add_check(sub);
  sub.option("--reward", a->reward, "Name of the reward; see `plugins list`").required();
  sub.option("--options", a->options, "Its options, as JSON");
  sub.option("--prompt-key", a->prompt_key, "Column with the prompt");
  sub.option("--completion-key", a->completion_key, "Column with the completion");
  sub.option("--answer-key", a->answer_key, "Column with the ground truth");
  sub.option("--batch", a->batch, "Samples in a call").positive();
  sub.option("--timeout", a->timeout, "Seconds a call may take; 0: no limit").not_negative();
  sub.flag("--isolate", a->isolate, "Run the plugin in a process of its own, which may crash (docs/isolation.md)");
  sub.option("--memory-gib", a->memory, "With --isolate: memory that it may hold; 0: no limit").not_negative();
  sub.option("--record", a->record, "File that the calls are written into, for `plugins replay`");
  sub.action([a] { return score(*a); });
}

}  // namespace grpo::host
