// The built-in demo: no download, no configuration, a learning curve in the terminal.
//
// A teacher adds two numbers below 100 and, more often than not, forgets to carry. A tiny transformer with random
// weights first imitates that teacher (sft), so that about half of the held-out problems come out right; then GRPO,
// which is told nothing but whether an answer is right, lifts it over nine tenths.
#include <fmt/format.h>
#include <grpo/random.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <numeric>

#include "commands.hpp"
#include "demo_files.hpp"
#include "grpo/sdk/error.hpp"
#include "grpo/sdk/report/console.hpp"
#include "grpo/sdk/train/model_directory.hpp"
#include "grpo/sdk/train/stage.hpp"
#include "interrupt.hpp"

namespace grpo::host {
namespace {

constexpr int numbers = 100, held_out = 500;
constexpr double forgets = 0.6;  // how often the teacher forgets to carry

int without_carry(int a, int b) { return (a / 10 + b / 10) * 10 + (a + b) % 10; }

// All pairs in a random order: the first `held_out` are never trained on, by neither stage.
void write_problems(const std::filesystem::path& directory) {
  std::vector<int> pairs(numbers * numbers);
  std::iota(pairs.begin(), pairs.end(), 0);
  const auto key = grpo_random_key(2024, 0);
  for (std::size_t i = pairs.size() - 1; i > 0; --i)
    std::swap(pairs[i], pairs[static_cast<std::size_t>(grpo_random_uniform(key, i) * static_cast<double>(i + 1))]);
  std::string test, train;
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const int a = pairs[i] / numbers, b = pairs[i] % numbers;
    const bool forgot = grpo_random_uniform(grpo_random_key(2024, 1), i) < forgets;
    const int taught = forgot ? without_carry(a, b) : a + b;
    (i < held_out ? test : train) += fmt::format(
        "{{\"prompt\": \"{}+{}=\", \"answer\": \"{}\", \"taught\": \"\\\\boxed{{{}}}\"}}\n", a, b, a + b, taught);
  }
  train::write_file(directory / "test.jsonl", test);
  train::write_file(directory / "train.jsonl", train);
}

config::Config load(const std::filesystem::path& directory, const std::string& model, const std::string& stage,
                    bool check, std::vector<std::string> more) {
  std::vector<std::string> overrides = {"run.output_dir=" + (directory / stage).string(), "model.path=" + model,
                                        "data.path=" + (directory / "train.jsonl").string(),
                                        "evaluation.path=" + (directory / "test.jsonl").string()};
  if (check) overrides.emplace_back("run.check_plugins=true");
  overrides.insert(overrides.end(), more.begin(), more.end());
  return config::load(config::Source{"demo.yaml (built in)", std::string(demo_yaml), {}}, overrides);
}

}  // namespace

void add_demo(Command program) {
  Command sub = program.command("demo", "A tiny model learns to add, in a minute: nothing to download or configure");
  sub.group(group_training);
  sub.footer("Everything goes into runs/demo, in place of an earlier demo.");
  auto a = std::make_shared<RunArguments>();
  a->add_plugins(sub);
  a->add_check(sub);
  sub.action([a] { return run_demo(*a); });
}

int run_demo(const RunArguments& arguments) {
  const auto start = std::chrono::steady_clock::now();
  const std::filesystem::path directory = "runs/demo";
  std::filesystem::remove_all(directory);
  const auto model = directory / "model";
  std::filesystem::create_directories(model);
  train::write_file(model / "config.json", std::string(demo_config_json));
  train::write_file(model / "tokenizer.json", std::string(demo_tokenizer_json));
  train::write_file(model / "tokenizer_config.json", std::string(demo_tokenizer_config_json));
  write_problems(directory);

  report::Console console;
  console.line(
      "The demo: two-digit addition. A teacher who forgets to carry 60 % of the time is imitated first (SFT);\n"
      "then GRPO rewards right answers alone. 500 problems are held out from both.");
  train::StageSettings sft;
  sft.config = load(directory, model.string(), "sft", arguments.check, {"report.every_steps=100"});
  sft.plugin_directories = arguments.plugin_places();
  sft.console = &console;
  sft.stop = [] { return interrupted() != 0; };
  catch_interrupts();
  const auto taught = train::sft(sft);
  if (taught.interrupted) return 128 + interrupted();

  train::StageSettings grpo;
  grpo.config = load(directory, taught.checkpoint->string(), "grpo", arguments.check,
                     {"run.max_steps=200", "model.init=checkpoint"});
  grpo.plugin_directories = sft.plugin_directories;
  grpo.console = &console;
  grpo.stop = sft.stop;
  std::vector<std::pair<double, double>> accuracy;
  grpo.on_step = [&](std::int64_t step, const report::Metrics& m) {
    if (const auto value = m.find("eval/accuracy")) accuracy.emplace_back(static_cast<double>(step), *value);
  };
  const auto result = train::train(grpo);
  if (result.interrupted) return 128 + interrupted();

  console.curve("greedy accuracy on the 500 held-out problems, over GRPO steps", accuracy, 0, 1);
  console.line(
      fmt::format("after imitation {:.1f} %, after GRPO {:.1f} %; {} in all. Everything is in {}/.",
                  100 * accuracy.front().second, 100 * accuracy.back().second,
                  report::duration(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count()),
                  directory.string()));
  console.line(fmt::format("Look at it: {}", (directory / "grpo" / "report.html").string()));
  std::error_code error;  // by its path, since a program that was just built is not on the PATH
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  console.line(fmt::format("Try it: echo '{{\"text\": \"58+67=\"}}' | {} generate --greedy --model {}",
                           error ? "grpo-host" : std::filesystem::proximate(self, error).string(),
                           result.checkpoint->string()));
  return accuracy.back().second > accuracy.front().second ? 0 : 1;
}

}  // namespace grpo::host
