// A call through the ABI: a reward that does next to nothing (`length`), with the host's checks of its answer, beside
// the making of the batch that goes in.
#include <benchmark/benchmark.h>

#include <nlohmann/json.hpp>
#include <string>

#include "grpo/sdk/plugins/registry.hpp"
#include "grpo/sdk/plugins/reward.hpp"

namespace {

using namespace grpo::plugins;

RewardBatch make_batch(std::int64_t samples) {
  static const std::string prompt(400, 'p'), completion(300, 'c'), truth = "72";
  RewardBatch batch;
  for (std::int64_t i = 0; i < samples; ++i) {
    const auto row = batch.add_row({.prompt = prompt, .ground_truth = truth});
    batch.add_sample({.row = row, .completion = completion});
  }
  return batch;
}

void make_batch(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(make_batch(state.range(0)).get());
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(make_batch)->Arg(1)->Arg(32)->Arg(1024);

void score(benchmark::State& state) {
  Registry registry;
  registry.add_file(std::string(GRPO_PLUGIN_DIR) + "/reward_length.so");
  Reward reward(registry, "length", nlohmann::json::object());
  const auto batch = make_batch(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(reward.score(batch).score.data());
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(score)->Arg(1)->Arg(32)->Arg(1024);

}  // namespace
