// The hot paths that need no LibTorch, one a name: `smoke_paths NAME` does a fixed amount of work in measured(), whose
// instructions bench/smoke/run counts, and prints a number that says the work was done. `smoke_paths` lists the names.
// `smoke_paths time NAME` prints seconds of measured() instead, the best of seven, for ratios within one run.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <exception>
#include <functional>
#include <grpo/kit/grading.hpp>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "grpo/sdk/algorithm/objective.hpp"
#include "grpo/sdk/text/chat_template.hpp"
#include "grpo/sdk/text/tokenizer.hpp"
#include "kernels/simd.hpp"
#include "sampling.hpp"

namespace {

namespace simd = grpo::transformer::simd;
using Work = std::function<double()>;

std::vector<float> wave(std::int64_t n, double step) {
  std::vector<float> out(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(std::sin(static_cast<double>(i) * step));
  return out;
}

std::string english() {
  std::string text;
  for (int i = 0; i < 20; ++i)
    text += "Natalia sold clips to " + std::to_string(48 + i) +
            " of her friends in April, and then she sold half as many clips in May. How many clips did she sell?\n";
  return text;
}

Work encode() {
  const auto tokenizer =
      grpo::text::Tokenizer::load(std::string(GRPO_SOURCE_DIR) + "/tests/tokenizer/data/smollm2.json");
  return [tokenizer, text = english()] { return static_cast<double>(tokenizer.encode(text).size()); };
}

Work render() {
  const grpo::text::Template chat(
      "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content | trim + '<|im_end|>\\n' }}{% endfor %}"
      "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
      "smoke");
  nlohmann::ordered_json messages = nlohmann::ordered_json::array();
  for (int i = 0; i < 8; ++i) messages.push_back({{"role", i % 2 ? "assistant" : "user"}, {"content", " 2 + 2 = 4 "}});
  return [chat, variables = nlohmann::ordered_json{{"messages", messages}, {"add_generation_prompt", true}}] {
    double sum = 0;
    for (int i = 0; i < 20; ++i) sum += static_cast<double>(chat.render(variables).size());
    return sum;
  };
}

Work objective() {
  using namespace grpo::algorithm;
  constexpr std::int64_t rows = 8, length = 256, tokens = rows * length;
  std::vector<std::int64_t> start;
  std::vector<double> advantage;
  for (std::int64_t r = 0; r <= rows; ++r) start.push_back(r * length);
  for (std::int64_t r = 0; r < rows; ++r) advantage.push_back(r % 2 ? 1 : -1);
  return [=, logprob = wave(tokens, 1), old = wave(tokens, 1.001)] {
    std::vector<float> dlogprob(static_cast<std::size_t>(tokens));
    const ObjectiveOptions options = objective_options("dapo");
    TokenBatch batch;
    batch.start = start;
    batch.logprob = logprob;
    batch.old_logprob = old;
    batch.advantage = advantage;
    const Normalizer normalizer{.rows = rows, .tokens = tokens, .max_completion_length = length};
    return evaluate<float>(options, batch, normalizer, std::span<float>(dlogprob), {}).loss;
  };
}

Work grading() {
  const std::string completion = english() + "So in all that is \\boxed{\\frac{144}{2}}.";
  return [completion] {
    int right = 0;
    for (int i = 0; i < 20; ++i) {
      right += grpo::kit::extract_answer(completion).has_value();
      right += grpo::kit::answers_equal("1,234.50", "1234.5") + grpo::kit::answers_equal("0.75", "\\frac{3}{4}") +
               grpo::kit::answers_equal("x^2+x", "x(x+1)");
    }
    return static_cast<double>(right);
  };
}

Work choose(std::int32_t top_k, double top_p) {
  return [=, logits = wave(49152, 0.7)] {
    grpo::transformer::Chooser chooser(49152);
    grpo::transformer::Sampling sampling;
    sampling.top_k = top_k;
    sampling.top_p = top_p;
    double sum = 0;
    for (std::uint64_t key = 0; key < 4; ++key)
      sum += chooser.choose(sampling, {.logits = logits.data(), .key = key}).token;
    return sum;
  };
}

// `times` products of `rows` rows with a weight of 576 x 1536, SmolLM2-135M's.
Work linear(std::int64_t rows, int times) {
  constexpr std::int64_t inputs = 576, outputs = 1536;
  const auto weight = wave(inputs * outputs, 0.3);
  std::vector<float> packed(static_cast<std::size_t>(simd::packed_size(outputs, inputs)));
  simd::pack(weight.data(), outputs, inputs, {packed.data(), simd::PackedType::float32});
  return [=, x = wave(rows * inputs, 0.1), y = std::vector<float>(static_cast<std::size_t>(rows * outputs)),
          scratch = std::vector<float>(static_cast<std::size_t>(simd::linear_scratch(rows, inputs)))]() mutable {
    for (int i = 0; i < times; ++i)
      simd::linear({x.data(), inputs}, rows, {packed.data(), simd::PackedType::float32}, nullptr, outputs, inputs,
                   {y.data(), outputs}, scratch.data());
    return static_cast<double>(y[1]);
  };
}

Work cached_attention() {
  constexpr std::int64_t kv_heads = 3, group = 3, size = 64, length = 256, heads = kv_heads * group;
  return [=, keys = wave(kv_heads * size * length, 0.2), values = wave(kv_heads * size * length, 0.4),
          query = wave((heads + 2 * kv_heads) * size, 0.6)]() mutable {
    std::vector<std::int32_t> blocks;
    for (std::int32_t b = 0; b < length / 16; ++b) blocks.push_back(b);
    std::vector<float> out(heads * size);
    std::vector<float> scratch(static_cast<std::size_t>(simd::cached_attention_scratch(length, group, size)));
    const simd::CachedToken last{blocks.data(), length - 1};
    simd::CachedLayer layer{};
    layer.token = &last;
    layer.n = 1;
    layer.kv_heads = kv_heads;
    layer.group = group;
    layer.size = size;
    layer.turned = query.data();
    layer.step = heads * size;
    layer.block_step = kv_heads * size * 16;
    layer.keys = keys.data();
    layer.values = values.data();
    layer.scale = 0.125f;
    layer.out = out.data();
    for (int i = 0; i < 8; ++i) simd::cached_attention(layer, length, scratch.data());
    return static_cast<double>(out[1]);
  };
}

Work norm_and_activation() {
  constexpr std::int64_t rows = 32, size = 576, wide = 1536;
  return [=, x = wave(rows * size, 0.2), weight = wave(size, 0.1), gate_up = wave(rows * 2 * wide, 0.3)] {
    std::vector<float> y(rows * size), out(rows * wide);
    simd::rms_norm(x.data(), size, weight.data(), 1e-5, rows, 1, size, y.data(), size, nullptr);
    simd::swiglu(gate_up.data(), rows, wide, out.data());
    return static_cast<double>(y[1] + out[1]);
  };
}

const std::map<std::string, std::function<Work()>>& paths() {
  static const std::map<std::string, std::function<Work()>> all = {
      {"tokenizer_encode", encode},
      {"template_render", render},
      {"objective_evaluate", objective},
      {"math_grading", grading},
      {"choose_token", [] { return choose(0, 0); }},
      {"choose_token_top_k_top_p", [] { return choose(50, 0.9); }},
      {"linear_32_rows", [] { return linear(32, 1); }},
      {"linear_1_row_32_times", [] { return linear(1, 32); }},
      {"cached_attention", cached_attention},
      {"norm_and_activation", norm_and_activation},
  };
  return all;
}

}  // namespace

// What the counter is switched on for.
extern "C" __attribute__((noinline, visibility("default"))) double grpo_smoke_measured(const Work& work) {
  return work();
}

int main(int count, char** words) try {
  if (count == 1) {
    for (const auto& [name, make] : paths()) std::printf("%s\n", name.c_str());
    return 0;
  }
  const bool timed = std::string(words[1]) == "time";
  const Work work = paths().at(words[count - 1])();
  if (!timed) return std::printf("%g\n", grpo_smoke_measured(work)), 0;
  double best = 1e9, result = 0;
  for (int i = 0; i < 7; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    result = grpo_smoke_measured(work);
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  std::fprintf(stderr, "%g\n", result);
  std::printf("%.9f\n", best);
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
