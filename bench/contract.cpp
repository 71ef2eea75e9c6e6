// What the contract costs: a grading function called directly, through the ABI, and through the ABI with every call
// checked; and reading the manifests of a hundred plugins. Batches of 256 completions of some 300 bytes.
//
// `sample` is the time of one sample. What the contract adds is the difference to `direct`; the targets are at most
// 100 ns a sample for `contract`, and twice `contract` for `checked`. Scanning: under 50 ms.
#include <benchmark/benchmark.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "contract/words.hpp"
#include "grpo/sdk/plugins/checked.hpp"
#include "grpo/sdk/plugins/registry.hpp"
#include "grpo/sdk/plugins/reward.hpp"

namespace {

using namespace grpo::plugins;

constexpr std::int64_t samples = 256;

const std::vector<std::string>& completions() {
  static const std::vector<std::string> all = [] {
    std::vector<std::string> out;
    for (std::int64_t i = 0; i < samples; ++i) {
      std::string text;
      while (static_cast<std::int64_t>(text.size()) < 250 + i % 100) text += "word" + std::to_string(i) + " ";
      out.push_back(text);
    }
    return out;
  }();
  return all;
}

RewardBatch make_batch() {
  static const std::string prompt(400, 'p'), truth = "72";
  static const std::vector<std::int32_t> ids(64, 7);
  RewardBatch batch(1);
  for (std::int64_t i = 0; i < samples; ++i) {
    const auto row =
        i % 8 == 0 ? batch.add_row({.prompt = prompt, .ground_truth = truth, .prompt_ids = ids}) : batch.rows() - 1;
    batch.add_sample(
        {.row = row, .index = i % 8, .completion = completions()[static_cast<std::size_t>(i)], .ids = ids});
  }
  return batch;
}

void per_sample(benchmark::State& state) {
  state.counters["sample"] = benchmark::Counter(
      static_cast<double>(samples), benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

void direct(benchmark::State& state) {
  std::vector<double> scores(samples);
  for (auto _ : state) {
    for (std::size_t i = 0; i < scores.size(); ++i) scores[i] = bench::brevity(completions()[i]);
    benchmark::DoNotOptimize(scores.data());
  }
  per_sample(state);
}
BENCHMARK(direct);

void score(benchmark::State& state, bool check) {
  Registry registry;
  registry.add_file(GRPO_BENCH_PLUGIN);
  auto component = registry.load(GRPO_REWARD_ID, "words");
  Reward reward(check ? checked(component) : component, nullptr);
  const auto batch = make_batch();
  batch.get();
  for (int i = 0; i < 8; ++i) reward.score(batch);  // the checks look for what is left behind in the first calls only
  for (auto _ : state) benchmark::DoNotOptimize(reward.score(batch).score.data());
  per_sample(state);
}
void contract(benchmark::State& state) { score(state, false); }
void checked_contract(benchmark::State& state) { score(state, true); }
BENCHMARK(contract);
BENCHMARK(checked_contract)->Name("checked");

void scan_100_plugins(benchmark::State& state) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::temp_directory_path() / ("grpo-bench-scan-" + std::to_string(getpid()));
  fs::create_directories(folder);
  for (int i = 0; i < 100; ++i)
    fs::copy_file(GRPO_BENCH_PLUGIN, folder / ("copy" + std::to_string(i) + ".so"),
                  fs::copy_options::overwrite_existing);
  for (auto _ : state) {
    Registry registry;
    registry.add_directory(folder.string());
    if (registry.manifests().size() != 100) state.SkipWithError("not all were read");
  }
  fs::remove_all(folder);
}
BENCHMARK(scan_100_plugins)->Unit(benchmark::kMillisecond);

}  // namespace
