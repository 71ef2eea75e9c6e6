// grpo.sampler/1: what completions hold.
#include <cmath>
#include <thread>

#include "sampler_bench.hpp"
#include "sampler_checks.hpp"
#include "statistics.hpp"

namespace grpo::plugins::conformance {
namespace {

void answers(Subject& s) {
  SamplerBench bench(s);
  std::size_t n = bench.generate(usual_asks()).size();
  n += bench.generate({}).size();  // a feed without a request ends at once
  s.note = std::to_string(n) + " completions";
}

void late(Subject& s) {
  SamplerBench bench(s);
  bench.generate(usual_asks(), 3);
}

void seeds(Subject& s) {
  SamplerBench bench(s), other(s);
  const auto asks = usual_asks();
  const Results expected = bench.generate(asks);
  need_same(bench.generate(asks), expected, "the second time");
  need_same(other.generate({asks.rbegin(), asks.rend()}), expected, "when the requests come in another order");
  for (const Ask& ask : asks) need_same(other.generate({ask}), expected, "alone");
}

void keys(Subject& s) {
  SamplerBench bench(s);
  need_bound(bench);
  const auto asks = usual_asks();
  need_expected(bench, asks, bench.generate(asks), "plain sampling", keys_way);
}

void limits(Subject& s) {
  SamplerBench bench(s);
  need_bound(bench);
  std::vector<Ask> asks{{1, 5, {1, 2}, 3, {.max_new = 1}},
                        {2, 6, {1, 2}, 2, {.max_new = 17}},
                        {3, 7, {4}, 2, {.max_new = 0}},  // until positions run out
                        {4, 8, Ids(90, 3), 2, {.max_new = 50}}};
  need_expected(
      bench, asks, bench.generate(asks), "max_new and positions",
      "a completion ends with max_new tokens, or when prompt and completion fill the positions: GRPO_FINISH_LENGTH");
  if (!(bench.info().sampling & GRPO_SAMPLING_MIN_NEW)) return void(s.note = "min_new is not offered");
  asks = {{1, 5, {1, 2}, 6, {.min_new = 6, .max_new = 20, .stop = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}}}};
  need_expected(bench, asks, bench.generate(asks), "min_new", "stop ids are not chosen before min_new tokens");
}

void stop_tokens(Subject& s) {
  SamplerBench bench(s);
  need_bound(bench);
  const std::vector<Ask> asks{{1, 5, {1, 2}, 8, {.max_new = 40, .stop = {0, 3, 7, 12}}},
                              {2, 6, {9}, 4, {.max_new = 40, .stop = {31}}}};
  need_expected(bench, asks, bench.generate(asks), "stop ids",
                "a stop id ends the completion, is part of it, and the reason is GRPO_FINISH_STOP");
}

void stop_text(Subject& s) {
  SamplerBench bench(s, /*with_tokenizer=*/true);
  need_bound(bench);
  need_sampling(bench, GRPO_SAMPLING_STOP_TEXT, "stop texts (GRPO_SAMPLING_STOP_TEXT)");
  const std::vector<Ask> asks{{1, 5, {1, 2}, 12, {.max_new = 40, .stop_text = {"a"}}},
                              {2, 6, {9}, 12, {.max_new = 40, .stop_text = {"ab", "cd", "ef", "gh", "i.", "ba"}}},
                              {3, 7, {4, 4}, 8, {.max_new = 40, .stop = {5}, .stop_text = {"\xC3\xA9", " "}}}};
  need_expected(bench, asks, bench.generate(asks), "stop texts",
                "the token that completes a stop text ends the completion and is part of it");
}

// Of one completion: each kind is what sampler.h says it is.
void need_logprobs(const Got& g, const ReferenceModel::Completion& want, const std::string& which) {
  const auto& kind = g.kind == GRPO_LOGPROB_TEMPERED ? want.tempered
                     : g.kind == GRPO_LOGPROB_RAW    ? want.raw
                                                     : want.sampled;
  for (std::size_t i = 0; i < g.logprob.size(); ++i)
    need(std::abs(g.logprob[i] - kind[i]) < 1e-4,
         which + ", token " + std::to_string(i) + ": log-probability " + std::to_string(g.logprob[i]) +
             "; the model gives " + std::to_string(kind[i]) + " for its kind (" + std::to_string(g.kind) + ")",
         "logprob_kind says which distribution: tempered, raw or the one drawn from");
  for (std::size_t i = 0; i < g.sampled.size(); ++i)
    need(std::abs(g.sampled[i] - want.sampled[i]) < 1e-4,
         which + ", token " + std::to_string(i) + ": logprob_sampled " + std::to_string(g.sampled[i]) +
             ", the distribution drawn from gives " + std::to_string(want.sampled[i]),
         "logprob_sampled is after penalty and truncation");
}

void logprobs(Subject& s) {
  SamplerBench bench(s);
  need_bound(bench);
  std::vector<Ask> asks = usual_asks();
  const std::uint32_t can = bench.info().sampling;
  if (can & GRPO_SAMPLING_TOP_K) asks.push_back({20, 5, {1, 2}, 4, {.temperature = 0.8, .top_k = 5}});
  if (can & GRPO_SAMPLING_REPETITION_PENALTY) asks.push_back({21, 6, {1, 2}, 4, {.repetition_penalty = 1.4}});
  const Results got = bench.generate(asks);
  int compared = 0;
  for (const Ask& ask : asks)
    for (std::int64_t i = 0; i < ask.samples; ++i) {
      const Got& g = got.at({ask.id, i});
      const auto want = expected(bench.model, ask, i);
      if (g.ids != want.ids)
        throw Skipped{"its completions are not those of the keys (sampler.keys), so there is nothing to compare with"};
      need_logprobs(g, want, "sample " + std::to_string(i) + " of request " + std::to_string(ask.id));
      compared += g.kind != GRPO_LOGPROB_NONE;
    }
  s.note = std::to_string(compared) + " completions with log-probabilities";
}

// One token after a fixed prompt, many times; Pearson's chi-square, which a right sampler fails once in 10^6 at most.
void follows(Subject& s, const SamplerBench& bench, SamplerBench& from, const Plan& plan, const std::string& what) {
  const Ask ask{1, 20261120, {11, 5, 11}, s.times(3000, 1000), plan};
  auto sampling = made<grpo_sampling>();
  sampling.temperature = plan.temperature;
  sampling.top_k = plan.top_k;
  sampling.top_p = plan.top_p;
  sampling.min_p = plan.min_p;
  const auto p = bench.model.distribution(ask.prompt, sampling, 0);
  std::vector<double> seen(p.size());
  for (const auto& [name, g] : from.generate({ask})) {
    need(g.ids.size() == 1, "max_new 1 gave " + std::to_string(g.ids.size()) + " tokens", "");
    ++seen[static_cast<std::size_t>(g.ids[0])];
  }
  const Fit fit = chi_square({p.begin(), p.end()}, seen);
  need(fit.impossible < 0, what + ": it drew id " + std::to_string(fit.impossible) + ", which the options rule out",
       "order: penalty, temperature, top_k, top_p, min_p, each on what the one before left");
  need(fit.statistic < fit.bound,
       what + ": draws do not follow the model's distribution (chi-square " + std::to_string(fit.statistic) +
           ", at most " + std::to_string(fit.bound) + ")",
       "the temperature divides the logits; top_k, top_p and min_p cut, then what is left is normalised");
}

void distribution(Subject& s) {
  SamplerBench bench(s);
  need_bound(bench);
  const std::uint32_t can = bench.info().sampling;
  follows(s, bench, bench, {.temperature = 1.3, .max_new = 1}, "temperature 1.3");
  if (can & GRPO_SAMPLING_TOP_K) follows(s, bench, bench, {.top_k = 6, .max_new = 1}, "top_k 6");
  if (can & GRPO_SAMPLING_TOP_P) follows(s, bench, bench, {.top_p = 0.7, .max_new = 1}, "top_p 0.7");
  if (can & GRPO_SAMPLING_MIN_P) follows(s, bench, bench, {.min_p = 0.3, .max_new = 1}, "min_p 0.3");
}

constexpr Check all[] = {
    {"sampler.answers", "sampler", "every sample of every request is answered exactly once", answers},
    {"sampler.late", "sampler", "requests that come late are answered, too", late},
    {"sampler.seeds", "sampler", "the same key gives the same completion, whatever else is generated", seeds},
    {"sampler.keys", "sampler", "completions are those that the keys of random.h make", keys},
    {"sampler.limits", "sampler", "max_new, min_new and the model's positions are kept", limits},
    {"sampler.stop_tokens", "sampler", "a stop id ends a completion and is part of it", stop_tokens},
    {"sampler.stop_text", "sampler", "so does the token that completes a stop text", stop_text},
    {"sampler.logprobs", "sampler", "log-probabilities are those of the model, of the kind stated", logprobs},
    {"sampler.distribution", "sampler", "draws follow the model's distribution under temperature, top_k, top_p, min_p",
     distribution},
};

}  // namespace

std::span<const Check> sampler_completion_checks() { return all; }

std::span<const Check> sampler_checks() {
  static const std::vector<Check> joined = [] {
    std::vector<Check> out;
    for (const auto part : {sampler_completion_checks(), sampler_conduct_checks()})
      out.insert(out.end(), part.begin(), part.end());
    return out;
  }();
  return joined;
}

}  // namespace grpo::plugins::conformance
