// eval: held-out accuracy of a model or checkpoint: a table, JSON, and every completion with its scores.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <iostream>
#include <nlohmann/json.hpp>
#include <thread>

#include "commands.hpp"
#include "grpo/sdk/data/dataset.hpp"
#include "grpo/sdk/error.hpp"
#include "grpo/sdk/report/console.hpp"
#include "grpo/sdk/train/evaluate.hpp"
#include "interrupt.hpp"

namespace grpo::host {
namespace {

namespace fs = std::filesystem;

struct EvalArguments {
  RunArguments run;
  std::string model, output, device, dtype;
  std::vector<std::string> data;
  std::int64_t samples = 0, max_new_tokens = 0, limit = 0;
  double temperature = -1;
};

constexpr const char* asks_for_a_box =
    " Please reason step by step, and put your final answer within \\boxed{}.";  // as Qwen's math prompts do

// Options as the configuration's own keys: what is written out on the command line wins over them.
std::vector<std::string> as_overrides(const EvalArguments& a) {
  std::vector<std::string> out;
  const auto add = [&](const std::string& key, const std::string& value) { out.push_back(key + "=" + value); };
  if (!a.model.empty()) add("model.path", a.model);
  if (!a.device.empty()) add("model.device", a.device);
  if (!a.dtype.empty()) add("model.dtype", a.dtype);
  if (a.temperature >= 0) add("evaluation.temperature", fmt::format("{}", a.temperature));
  if (a.samples > 0) add("evaluation.samples", std::to_string(a.samples));
  if (a.samples > 1 && a.temperature < 0 && a.run.config_file.empty()) add("evaluation.temperature", "0.6");
  if (a.max_new_tokens > 0) add("evaluation.max_new_tokens", std::to_string(a.max_new_tokens));
  if (a.limit > 0) add("evaluation.max_samples", std::to_string(a.limit));
  if (a.run.config_file.empty()) {
    add("rewards", "[math]");
    const bool said = std::any_of(a.run.overrides.begin(), a.run.overrides.end(), [](const std::string& text) {
      return text.starts_with("sampler.max_new_tokens=");  // which holds where evaluation's own is not given
    });
    if (a.max_new_tokens == 0 && !said) add("evaluation.max_new_tokens", "1024");
  }
  if (!a.data.empty()) {
    add("evaluation.path", "");
    add("evaluation.datasets", "[]");
  }
  for (std::size_t i = 0; i < a.data.size(); ++i) {
    const auto equals = a.data[i].find('=');
    const std::string key = "evaluation.datasets." + std::to_string(i) + ".";
    add(key + "path", equals == std::string::npos ? a.data[i] : a.data[i].substr(equals + 1));
    if (equals != std::string::npos) add(key + "name", a.data[i].substr(0, equals));
  }
  return out;
}

// Without a configuration nobody has said which columns hold prompt and answer: the names that data sets use.
void find_columns(config::Config& config, config::EvaluationDataset& set) {
  const auto data = data::Dataset::open(set.path, {.max_rows = 1});
  const auto row = data.row(0);
  const auto first_there = [&](std::initializer_list<const char*> names, const char* key) -> std::string {
    for (const char* name : names)
      if (row.contains(name)) return name;
    std::string there;
    for (const auto& [name, value] : row.items()) there += (there.empty() ? "" : ", ") + name;
    throw Error(set.path.string() + ": which column is the " + key + "? There are: " + there +
                ". Say it with evaluation.datasets.N." + key + "_key=COLUMN");
  };
  if (set.prompt_key.empty() && config.evaluation.prompt_key.empty())
    set.prompt_key =
        first_there({"problem", "question", "Question", "prompt", "input", "instruction", "query"}, "prompt");
  if (set.answer_key.empty() && config.evaluation.answer_key.empty())
    set.answer_key = first_there(
        {"gt_answer", "final_answer", "answer", "Answer", "ground_truth", "target", "solution", "label"}, "answer");
  std::string template_text = std::string("{{ content }}") + asks_for_a_box;
  for (const char* story : {"body", "Body"})  // what the question is about, in ASDiv and SVAMP
    if (row.contains(story)) template_text = "{{ " + std::string(story) + " }} " + template_text;
  if (set.prompt_template.empty() && config.data.prompt_template.empty()) set.prompt_template = template_text;
  report::log(report::Level::info, fmt::format("{}: prompt `{}`, answer `{}`, asked as \"{}\"", set.name,
                                               set.prompt_key, set.answer_key, set.prompt_template));
}

config::Config load(const EvalArguments& a) {
  RunArguments run = a.run;
  run.overrides = as_overrides(a);
  run.overrides.insert(run.overrides.end(), a.run.overrides.begin(), a.run.overrides.end());
  auto config = run.load_config();
  if (!train::has_evaluation(config))
    throw Error(config.where("evaluation.path") +
                ": not given; name JSONL files of held-out prompts with --data NAME=PATH, or in the configuration as "
                "evaluation.path or evaluation.datasets");
  train::check_evaluation_files(config);
  if (a.run.config_file.empty())
    for (auto& set : config.evaluation_datasets) find_columns(config, set);
  return config;
}

// evals/<model>, of a checkpoint evals/<run>-<checkpoint>; with a number where something is there already.
fs::path default_output(const fs::path& model) {
  fs::path at = fs::absolute(model).lexically_normal();
  if (!at.has_filename()) at = at.parent_path();
  std::string name = at.filename().string();
  if (name.starts_with("checkpoint-")) name = at.parent_path().filename().string() + "-" + name;
  fs::path out = fs::path("evals") / name;
  for (int n = 2; fs::exists(out); ++n) out = fs::path("evals") / (name + "-" + std::to_string(n));
  return out;
}

int evaluate(const EvalArguments& a) {
  auto config = load(a);
  train::Session session(config, a.run.plugin_places(), {.sampler = true, .rewards = true});
  train::Evaluator evaluator(session);
  auto scorer = session.make_scorer({});
  const fs::path output = a.output.empty() ? default_output(session.model_directory()) : fs::path(a.output);
  report::Console console(progress_of(config));
  catch_interrupts("writing what is done");
  train::Evaluation found;
  {
    // A batch may take minutes: the sampler is asked to end where it is.
    std::jthread watch([&](const std::stop_token& done) {
      while (!done.stop_requested() && !interrupted()) std::this_thread::sleep_for(std::chrono::milliseconds(50));
      if (interrupted()) session.sampler().cancel_all();
    });
    found = evaluator.evaluate(*scorer, {&console, [] { return interrupted() != 0; }, output});
  }
  if (found.datasets.empty()) throw Error("stopped before the first batch was done: there is nothing to tell");
  const auto& pass_k = session.config().evaluation.pass_k;
  if (found.datasets.size() == 1 || !found.complete) console.line(train::summary_line(found.datasets.back()));
  console.line("\n" + train::table(found, pass_k));
  if (!found.complete) console.line("stopped before the end: * counts the questions that were asked");
  console.line((output / "eval.json").string() +
               (config.evaluation.save_completions ? ", " + (output / "completions.jsonl").string() : ""));
  return found.complete ? 0 : 128 + interrupted();
}

}  // namespace

void add_eval(Command program) {
  Command sub = program.command("eval", "Held-out accuracy of a model or checkpoint: greedy, samples, pass@k");
  sub.group(group_training);
  sub.footer(R"(Examples:
  grpo-host eval --model DIR --data gsm8k=gsm8k/test.jsonl
  grpo-host eval --model DIR --data aime24.jsonl --data amc23.jsonl --samples 16 --temperature 0.6
  grpo-host eval --config configs/eval-math.yaml --model runs/run/checkpoint-100
  grpo-host eval --config run.yaml evaluation.samples=8 evaluation.temperature=1

Without --config prompts ask for the answer in \boxed{}, the reward `math` decides, completions have up to 1,024
tokens, and the columns of a file are found by their usual names. With one, all of that is the configuration's; its
keys: evaluation.datasets (or .path), samples, temperature, greedy, pass_k, best_of, max_new_tokens, max_samples,
batch_size, reward (the one that decides: above 0.5 is right).

The table goes to standard output, everything else to eval.json and completions.jsonl in --output. Ctrl-C writes what
is done.)");
  auto a = std::make_shared<EvalArguments>();
  a->run.add_plugins(sub);
  sub.option("--model", a->model, "Model or checkpoint directory, in place of model.path").existing_directory();
  sub.option("--data", a->data, "NAME=PATH or PATH of a JSONL file, in place of the configuration's; repeatable");
  sub.option("--samples", a->samples, "Completions of each prompt besides the greedy one; 0: the configuration's")
      .not_negative();
  sub.option("--temperature", a->temperature, "Of these samples. Not given: the configuration's, else 0.6");
  sub.option("--max-new-tokens", a->max_new_tokens, "Longest completion; 0: the configuration's").not_negative();
  sub.option("--limit", a->limit, "Only the first questions of each file; 0: all").not_negative();
  sub.option("--output", a->output, "Directory of the results. Default: evals/<model>");
  sub.option("--device", a->device, "Where to compute: cpu or cuda");
  sub.option("--dtype", a->dtype, "Type to compute in: float32 or bfloat16");
  a->run.add_config(sub);
  sub.action([a] { return evaluate(*a); });
}

}  // namespace grpo::host
