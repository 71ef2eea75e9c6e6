// The transformer plugin on a model of SmolLM2-135M's shape with random weights: the parts of a step of 4 prompts (120
// tokens) x 8 completions x 64 tokens, fp32, all cores. GRPO_BENCH_THREADS and GRPO_BENCH_KERNELS=portable change that.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "support.hpp"

namespace {

using namespace grpo::test;

constexpr std::int64_t prompts = 4, group = 8, prompt_tokens = 120, completion_tokens = 64, rows = prompts * group;

Model& model() {
  static Model model = [] {
    setenv("GOMP_SPINCOUNT", "1000", 0);  // as grpo-host does
    const char* threads = std::getenv("GRPO_BENCH_THREADS");
    const char* kernels = std::getenv("GRPO_BENCH_KERNELS");
    return Model({{"path", std::string(GRPO_BENCH_DATA) + "/smollm2-135m"},
                  {"init", "random"},
                  {"threads", threads ? std::atoi(threads) : 0},
                  {"kernels", kernels ? kernels : "auto"}});
  }();
  return model;
}

std::vector<std::int32_t> tokens(std::int64_t n, std::int64_t seed) {
  std::vector<std::int32_t> ids;
  for (std::int64_t i = 0; i < n; ++i) ids.push_back(static_cast<std::int32_t>((i * 7919 + seed * 104729) % 49152));
  return ids;
}

// Prompts counted once, every completion token scored.
Batch step_batch() {
  Batch batch;
  for (std::int64_t p = 0; p < prompts; ++p) {
    const auto root = batch.add(-1, tokens(prompt_tokens, p));
    const std::int64_t last = batch.node_start.back() - 1;
    for (std::int64_t g = 0; g < group; ++g) {
      const auto completion = tokens(completion_tokens, 100 + p * group + g);
      const auto node = static_cast<std::size_t>(batch.add(root, completion));
      const std::int64_t begin = batch.node_start[node];
      for (std::int64_t i = 0; i < completion_tokens; ++i)
        batch.score(i == 0 ? last : begin + i - 1, completion[static_cast<std::size_t>(i)]);
    }
  }
  return batch;
}

void per_second(benchmark::State& state, const char* name, std::int64_t n) {
  state.counters[name] = benchmark::Counter(static_cast<double>(n), benchmark::Counter::kIsIterationInvariantRate);
}

void score(benchmark::State& state) {
  const Batch batch = step_batch();
  model();
  for (auto _ : state) benchmark::DoNotOptimize(model().forward(batch).logprob.data());
  per_second(state, "tokens/s", static_cast<std::int64_t>(batch.token.size()));
}
BENCHMARK(score)->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime()->UseRealTime();

void forward_backward(benchmark::State& state) {
  const Batch batch = step_batch();
  const std::vector<float> dlogprob(batch.target_at.size(), 1e-3f);
  model().zero_grad();
  for (auto _ : state) model().backward(model().forward(batch, true).ticket, dlogprob);
  per_second(state, "tokens/s", static_cast<std::int64_t>(batch.token.size()));
}
BENCHMARK(forward_backward)->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime()->UseRealTime();

std::vector<std::int64_t> all_slots() {
  std::vector<std::int64_t> slots;
  for (std::int64_t i = 0; i < rows; ++i) slots.push_back(i);
  return slots;
}

void fill(Session& session) {
  std::vector<std::int64_t> roots;
  std::vector<std::vector<std::int32_t>> list;
  for (std::int64_t p = 0; p < prompts; ++p) {
    roots.push_back(p * group);
    list.push_back(tokens(prompt_tokens, p));
  }
  session.prefill(roots, list);
  for (const auto root : roots) {
    std::vector<std::int64_t> others;
    for (std::int64_t g = 1; g < group; ++g) others.push_back(root + g);
    session.fork(root, others);
  }
  std::vector<std::uint64_t> keys;
  for (std::int64_t i = 0; i < rows; ++i) keys.push_back(static_cast<std::uint64_t>(i));
  session.assign(all_slots(), keys, sampling(1, 0));
}

void prefill(benchmark::State& state) {
  Session session(model(), rows, prompts * prompt_tokens + rows * completion_tokens);
  for (auto _ : state) {
    fill(session);
    state.PauseTiming();
    session.release(all_slots());
    state.ResumeTiming();
  }
  per_second(state, "tokens/s", prompts * prompt_tokens);
}
BENCHMARK(prefill)->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime()->UseRealTime();

// One token for each of 32 rows, starting anew when the completions are full.
void decode_step(benchmark::State& state) {
  Session session(model(), rows, prompts * prompt_tokens + rows * completion_tokens);
  fill(session);
  std::int64_t made = 0;
  for (auto _ : state) {
    if (made == completion_tokens) {
      state.PauseTiming();
      session.release(all_slots());
      fill(session);
      made = 0;
      state.ResumeTiming();
    }
    session.step(all_slots(), 1);
    ++made;
  }
  per_second(state, "tokens/s", rows);
}
BENCHMARK(decode_step)->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime()->UseRealTime();

}  // namespace
