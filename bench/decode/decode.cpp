// Decoding alone, by the transformer plugin: prompts prefilled, each shared by a group of sequences, then so many
// tokens for every sequence, drawn at temperature 1 with their log-probabilities. For bench/decode/run, which has
// llama.cpp do the same.
//
//   grpo-host tokenize --model DIR ... | bench_decode DIR GROUP TOKENS BATCH...
//
// Standard input: {"ids": [...]} a line, a prompt each. BATCH: how many sequences at a time; the first BATCH / GROUP
// prompts (at least one) are used. One JSON line a batch:
//   batch, prompt_tokens (of each prompt), prefill_seconds, decode_seconds
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "support.hpp"

namespace {

using namespace grpo::test;
using Clock = std::chrono::steady_clock;
using Prompts = std::vector<std::vector<std::int32_t>>;

constexpr std::int64_t room = 8;  // tokens a call: what the sampler `local` asks for by default

struct Times {
  double prefill, decode;
};

double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// A session for it; its cache may be in blocks.
Session open_for(Model& model, const Prompts& prompts, std::int64_t batch, std::int64_t tokens) {
  std::int64_t cache = batch * (tokens + room);
  for (const auto& prompt : prompts) cache += static_cast<std::int64_t>(prompt.size());
  return {model, batch, cache + 64 * batch};
}

Times generate(Session& session, const Prompts& prompts, std::int64_t batch, std::int64_t tokens) {
  const auto group = batch / static_cast<std::int64_t>(prompts.size());
  Times times{};
  auto start = Clock::now();
  std::vector<std::int64_t> all, roots;
  std::vector<std::uint64_t> keys;
  for (std::int64_t i = 0; i < batch; ++i) all.push_back(i), keys.push_back(static_cast<std::uint64_t>(i));
  for (std::size_t p = 0; p < prompts.size(); ++p) roots.push_back(static_cast<std::int64_t>(p) * group);
  session.prefill(roots, prompts);
  for (const auto root : roots) {
    std::vector<std::int64_t> others;
    for (std::int64_t g = 1; g < group; ++g) others.push_back(root + g);
    if (!others.empty()) session.fork(root, others);
  }
  session.assign(all, keys, sampling(1, 0));
  times.prefill = since(start);

  start = Clock::now();
  for (std::int64_t made = 0; made < tokens; made += room)
    for (const auto& row : session.step(all, std::min(room, tokens - made)))
      if (row.ended != GRPO_FINISH_NONE) throw std::runtime_error("a sequence ended early");
  times.decode = since(start);
  session.release(all);
  return times;
}

Prompts read_prompts() {
  Prompts prompts;
  for (std::string line; std::getline(std::cin, line);)
    prompts.push_back(nlohmann::json::parse(line).at("ids").get<std::vector<std::int32_t>>());
  if (prompts.empty()) throw std::runtime_error("no prompts on standard input");
  return prompts;
}

void run(int argc, char** argv) {
  setenv("GOMP_SPINCOUNT", "1000", 0);  // as grpo-host does
  const std::int64_t group = std::max(1, std::atoi(argv[2])), tokens = std::atoi(argv[3]);
  const Prompts prompts = read_prompts();
  Model model({{"path", argv[1]}, {"threads", 0}});
  for (int i = 4; i < argc; ++i) {
    const std::int64_t batch = std::atoi(argv[i]);
    const auto wanted = static_cast<std::size_t>(std::max<std::int64_t>(1, batch / group));
    if (batch < 1 || prompts.size() < wanted || batch % static_cast<std::int64_t>(wanted))
      throw std::runtime_error("batch " + std::to_string(batch) + " does not go with " +
                               std::to_string(prompts.size()) + " prompts in groups of " + std::to_string(group));
    const Prompts part(prompts.begin(), prompts.begin() + static_cast<std::ptrdiff_t>(wanted));
    // The sampler keeps its cache from step to step, and so does this; as a whole, since pages are first touched here.
    Session session = open_for(model, part, batch, tokens);
    generate(session, part, batch, tokens);
    const Times times = generate(session, part, batch, tokens);
    nlohmann::json line{{"batch", batch}, {"prefill_seconds", times.prefill}, {"decode_seconds", times.decode}};
    for (const auto& prompt : part) line["prompt_tokens"].push_back(prompt.size());
    std::cout << line.dump() << std::endl;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) {
    std::fputs("usage: bench_decode MODEL_DIR GROUP TOKENS BATCH... < prompts\n", stderr);
    return 2;
  }
  try {
    run(argc, argv);
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "bench_decode: %s\n", e.what());
    return 1;
  }
}
