// What a reward in Python costs beside its own work: functions that do nothing, called through rewards/python. A sample
// has 400 bytes of prompt, 300 of completion and 100 token ids.
#include <benchmark/benchmark.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "grpo/sdk/plugins/registry.hpp"
#include "grpo/sdk/plugins/reward.hpp"

namespace {

using namespace grpo::plugins;

RewardBatch make_batch(std::int64_t samples) {
  static const std::string prompt(400, 'p'), completion(300, 'c'), truth = "72";
  static const std::vector<std::int32_t> ids(100, 7);
  RewardBatch batch;
  for (std::int64_t i = 0; i < samples; ++i) {
    const auto row = batch.add_row({.prompt = prompt, .ground_truth = truth});
    batch.add_sample({.row = row, .completion = completion, .ids = ids});
  }
  return batch;
}

void score(benchmark::State& state, const char* function) {
  Registry registry;
  registry.add_file(std::string(GRPO_PLUGIN_DIR) + "/reward_python.so");
  Reward reward(registry, "python",
                {{"function", std::string(GRPO_BENCH_PYTHON_FUNCTIONS ":") + function}, {"workers", 1}});
  const auto batch = make_batch(state.range(0));
  for (auto _ : state) {
    const auto scores = reward.score(batch);
    if (scores.count(GRPO_SAMPLE_OK) != state.range(0)) state.SkipWithError(scores.message[0].c_str());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK_CAPTURE(score, sample, "sample")->Arg(1)->Arg(8)->Arg(256)->UseRealTime();
BENCHMARK_CAPTURE(score, batch, "batch")->Arg(1)->Arg(8)->Arg(256)->UseRealTime();
BENCHMARK_CAPTURE(score, trl, "trl")->Arg(1)->Arg(8)->Arg(256)->UseRealTime();

// From nothing to the first score.
void start(benchmark::State& state) {
  const auto batch = make_batch(1);
  Registry registry;
  registry.add_file(std::string(GRPO_PLUGIN_DIR) + "/reward_python.so");
  for (auto _ : state) {
    Reward reward(registry, "python", {{"function", GRPO_BENCH_PYTHON_FUNCTIONS ":trl"}});
    benchmark::DoNotOptimize(reward.score(batch).score.data());
  }
}
BENCHMARK(start)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
