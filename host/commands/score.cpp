// score: any reward plugin over saved samples, without a model.
#include <cmath>

#include "commands.hpp"
#include "filter.hpp"
#include "grpo/sdk/error.hpp"
#include "grpo/sdk/plugins/checked.hpp"
#include "grpo/sdk/plugins/recorded.hpp"
#include "grpo/sdk/plugins/reward.hpp"
#include "grpo/sdk/report/console.hpp"
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

int score(const ScoreArguments& a) {
  auto registry = train::make_registry(a.run.plugin_places());
  auto options = nlohmann::json::parse(a.options, nullptr, false);
  if (!options.is_object()) throw Error("--options: not a JSON object: " + a.options);
  const plugins::IsolateSettings isolate{.memory_gib = a.memory};
  auto component = train::load_component(registry, GRPO_REWARD_ID, a.reward, a.run.check || plugins::check_by_default(),
                                         a.isolate ? &isolate : nullptr);
  if (!a.record.empty())
    component = plugins::recorded(component, {.file = a.record, .host = "grpo-host " GRPO_VERSION});
  plugins::Reward reward(
      component, options,
      {.services = train::make_services(nullptr, 1), .where = "--options", .label = a.reward, .progress = nullptr});
  return filter_batches(a.batch, [&](const std::vector<Json>& rows) {
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
    plugins::ScoreSettings settings;
    settings.timeout = std::chrono::nanoseconds(static_cast<std::int64_t>(a.timeout * 1e9));
    const auto scores = reward.score(batch, settings);
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
}

}  // namespace

void add_score(Command program) {
  Command sub = program.command(
      "score",
      R"(A reward plugin over saved samples: {"prompt","completion","ground_truth","ids", columns...} in, {"score","status",...} out)");
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
