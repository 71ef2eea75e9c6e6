// The objective on one step's tokens: 32 completions of 64 and of 1,024 tokens, each loss.
#include <benchmark/benchmark.h>

#include <cmath>
#include <string>
#include <vector>

#include "grpo/sdk/algorithm/objective.hpp"

namespace {

void evaluate(benchmark::State& state, const std::string& name, bool kl) {
  using namespace grpo::algorithm;
  const std::int64_t rows = 32, length = state.range(0), tokens = rows * length;
  const auto n = static_cast<std::size_t>(tokens);
  std::vector<std::int64_t> start;
  for (std::int64_t r = 0; r <= rows; ++r) start.push_back(r * length);
  std::vector<float> logprob(n), old(n), reference(n), dlogprob(n);
  for (std::size_t i = 0; i < n; ++i) {
    const auto x = static_cast<float>(i);
    logprob[i] = -1.5f + std::sin(x);
    old[i] = logprob[i] + 0.1f * std::sin(3 * x);
    reference[i] = logprob[i] + 0.2f * std::sin(5 * x);
  }
  std::vector<double> advantage;
  for (std::int64_t r = 0; r < rows; ++r) advantage.push_back(std::sin(static_cast<double>(r)));
  ObjectiveOptions options = objective_options(name);
  if (kl) options.kl_coefficient = 0.01;
  TokenBatch batch;
  batch.start = start;
  batch.logprob = logprob;
  batch.old_logprob = old;
  if (kl) batch.reference_logprob = reference;
  batch.advantage = advantage;
  const Normalizer normalizer{.rows = static_cast<double>(rows),
                              .tokens = static_cast<double>(tokens),
                              .max_completion_length = static_cast<double>(length)};
  for (auto _ : state)
    benchmark::DoNotOptimize(
        grpo::algorithm::evaluate<float>(options, batch, normalizer, std::span<float>(dlogprob), {}).loss);
  state.SetItemsProcessed(state.iterations() * tokens);
}
BENCHMARK_CAPTURE(evaluate, dapo, "dapo", false)->Arg(64)->Arg(1024);
BENCHMARK_CAPTURE(evaluate, dapo_kl, "dapo", true)->Arg(64)->Arg(1024);
BENCHMARK_CAPTURE(evaluate, gspo, "gspo", false)->Arg(64)->Arg(1024);
BENCHMARK_CAPTURE(evaluate, vespo, "vespo", false)->Arg(64)->Arg(1024);

}  // namespace
