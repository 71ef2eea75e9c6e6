// Text: encoding with the byte-level BPE of SmolLM2 (the tests' cut of it), and grading of answers.
#include <benchmark/benchmark.h>

#include <fstream>
#include <grpo/kit/grading.hpp>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "grpo/sdk/text/tokenizer.hpp"

namespace {

// The tests' texts of all scripts, one after the other.
std::string mixed_text() {
  const std::string path = std::string(GRPO_TEST_DATA) + "/tokenizer/data/texts.jsonl";
  std::ifstream in(path);
  if (!in) throw std::runtime_error(path + ": cannot be opened");
  std::string text;
  for (std::string line; std::getline(in, line);) text += nlohmann::json::parse(line).get<std::string>() + "\n";
  return text;
}

std::string english_text() {
  std::string text;
  for (int i = 0; i < 64; ++i)
    text += "Natalia sold clips to " + std::to_string(48 + i) +
            " of her friends in April, and then she sold half as many clips in May. How many clips did she sell?\n";
  return text;
}

void encode(benchmark::State& state, const std::string& text) {
  const auto tokenizer = grpo::text::Tokenizer::load(std::string(GRPO_TEST_DATA) + "/tokenizer/data/smollm2.json");
  std::size_t tokens = 0;
  for (auto _ : state) tokens = tokenizer.encode(text).size();
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(text.size()));
  state.counters["tokens/s"] =
      benchmark::Counter(static_cast<double>(tokens), benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK_CAPTURE(encode, english, english_text());
BENCHMARK_CAPTURE(encode, all_scripts, mixed_text());

void extract_answer(benchmark::State& state) {
  const std::string completion = english_text() + "So in all that is \\boxed{\\frac{144}{2}}.";
  for (auto _ : state) benchmark::DoNotOptimize(grpo::kit::extract_answer(completion));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(completion.size()));
}
BENCHMARK(extract_answer);

void answers_equal(benchmark::State& state, const std::string& gold, const std::string& answer) {
  for (auto _ : state) benchmark::DoNotOptimize(grpo::kit::answers_equal(gold, answer));
}
BENCHMARK_CAPTURE(answers_equal, numbers, "1,234.50", "1234.5");
BENCHMARK_CAPTURE(answers_equal, fractions, "0.75", "\\frac{3}{4}");
BENCHMARK_CAPTURE(answers_equal, expressions, "x^2+x", "x(x+1)");
BENCHMARK_CAPTURE(answers_equal, different_texts, "north by north-west", "\\text{south}");

}  // namespace
