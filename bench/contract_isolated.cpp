// What isolation costs: the same reward (`length`, which does next to nothing) called in this process and in one of its
// own, batches alike. The difference of the two is the cost of the way there and back.
#include <benchmark/benchmark.h>

#include <nlohmann/json.hpp>
#include <string>

#include "grpo/sdk/plugins/isolated.hpp"
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

Registry& registry() {
  static Registry* all = [] {
    auto* made = new Registry;
    made->add_file(std::string(GRPO_PLUGIN_DIR) + "/reward_length.so");
    return made;
  }();
  return *all;
}

void score(benchmark::State& state, Reward& reward) {
  const auto batch = make_batch(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(reward.score(batch).score.data());
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

void in_process(benchmark::State& state) {
  Reward reward(registry(), "length", nlohmann::json::object());
  score(state, reward);
}
BENCHMARK(in_process)->Arg(1)->Arg(256)->Arg(4096)->UseRealTime();

void isolated(benchmark::State& state) {
  Reward reward(grpo::plugins::isolated(registry(), GRPO_REWARD_ID, "length"), nlohmann::json::object());
  score(state, reward);
}
BENCHMARK(isolated)->Arg(1)->Arg(256)->Arg(4096)->UseRealTime();

// From nothing to the first score: two programs started, the library loaded, the handle opened.
void start(benchmark::State& state) {
  const auto batch = make_batch(1);
  for (auto _ : state) {
    Reward reward(grpo::plugins::isolated(registry(), GRPO_REWARD_ID, "length"), nlohmann::json::object());
    benchmark::DoNotOptimize(reward.score(batch).score.data());
  }
}
BENCHMARK(start)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
