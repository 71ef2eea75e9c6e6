// grpo.sampler/1
#include <cmath>
#include <thread>

#include "sampler_bench.hpp"
#include "statistics.hpp"

namespace grpo::plugins::conformance {
namespace {

const char* const keys_way = "sample i of a request draws with grpo_random_key(request.key, i), as random.h says";

void need_same(const Results& got, const Results& expected, const std::string& when) {
  for (const auto& [name, g] : got) {
    const Got& e = expected.at(name);
    need(g.ids == e.ids && g.finish == e.finish,
         "sample " + std::to_string(name.second) + " of request " + std::to_string(name.first) + " is " + shown(g.ids) +
             " " + when + ", and " + shown(e.ids) + " otherwise",
         keys_way);
  }
}

// All completions are those that the model and random.h make.
void need_expected(const SamplerBench& bench, const std::vector<Ask>& asks, const Results& got,
                   const std::string& about, const std::string& way_out) {
  for (const Ask& ask : asks)
    for (std::int64_t i = 0; i < ask.samples; ++i) {
      const auto want = expected(bench.model, ask, i);
      const Got& g = got.at({ask.id, i});
      const std::string which = about + ": sample " + std::to_string(i) + " of request " + std::to_string(ask.id);
      need(g.ids == want.ids, which + " is " + shown(g.ids) + ", the model and its key give " + shown(want.ids),
           way_out);
      need(g.finish == want.finish,
           which + " ended as " + std::to_string(g.finish) + ", not as " + std::to_string(want.finish) +
               " (GRPO_FINISH_*)",
           way_out);
    }
}

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

// A request is cancelled while it is worked on: what is left of it comes short, all others whole.
void cancel(Subject& s) {
  SamplerBench bench(s);
  const std::vector<Ask> asks{{1, 5, {1, 2}, 150, {.max_new = 60}}, {2, 6, {3}, 3, {.max_new = 10}}};
  FeedBench feed(asks, Fields::plain, bench.vocabulary());
  bench.model.on_step = [&](std::int64_t number) {
    if (number == 2) bench.table->cancel(bench.handle(), 1);
  };
  if (!bench.binds())
    feed.on_deliver = [&](const Name&, std::size_t delivered) {
      if (delivered == 1) bench.table->cancel(bench.handle(), 1);
    };
  Caller call;
  bench.table->cancel(bench.handle(), 77);  // one that is not open is ignored
  const grpo_status status = bench.run(feed, call);
  bench.model.on_step = nullptr;
  need(status == GRPO_STATUS_OK, "generate failed after a cancel: " + call.error() + " (" + status_text(status) + ")",
       "cancel makes completions short, not missing");
  feed.need_complete();
  int cut = 0;
  for (const auto& [name, g] : feed.results()) {
    if (name.first == 2)
      need(g.finish != GRPO_FINISH_CANCELLED, "a request that was not cancelled came back cancelled", "");
    cut += g.finish == GRPO_FINISH_CANCELLED;
    if (!bench.binds()) continue;
    const auto want = expected(bench.model, asks[name.first - 1], name.second).ids;
    need(g.ids.size() <= want.size() && std::equal(g.ids.begin(), g.ids.end(), want.begin()),
         "a cancelled completion is not a beginning of the whole one", "deliver the tokens so far");
  }
  need(
      cut > 0 || bench.model.steps < 8,
      "a cancelled request was finished as if nothing had happened, in " + std::to_string(bench.model.steps) + " steps",
      "look between steps at what cancel has noted, and deliver it as GRPO_FINISH_CANCELLED");
  bench.need_slots_free("after a cancel");
  bench.generate(usual_asks());
  s.note = std::to_string(cut) + " of 150 samples cut short";
}

// The call is cancelled: generate ends, its requests are lost, and it works again.
void stop(Subject& s) {
  SamplerBench bench(s);
  std::vector<Ask> asks;
  for (std::uint64_t i = 1; i <= 60; ++i) asks.push_back({i, i, {1, 2}, 20, {.max_new = 40}});
  FeedBench feed(asks, Fields::plain, bench.vocabulary());
  Caller call;
  std::int64_t steps_before = 0;
  feed.on_deliver = [&](const Name&, std::size_t) {
    if (!call.stop) steps_before = bench.model.steps;
    call.stop = true;
  };
  const grpo_status status = bench.run(feed, call);
  need(status == GRPO_STATUS_CANCELLED, "a cancelled generate returned " + status_text(status),
       "ask call->cancelled between steps, and return GRPO_STATUS_CANCELLED");
  need(bench.model.steps - steps_before <= 2,
       "after the call was cancelled it asked the model for " + std::to_string(bench.model.steps - steps_before) +
           " more steps",
       "ask call->cancelled between steps");
  bench.need_slots_free("after a cancelled generate");
  bench.generate(usual_asks());
}

void refusal(Subject& s) {
  SamplerBench bench(s);
  FeedBench feed(usual_asks(), Fields::plain, bench.vocabulary());
  feed.refuse_at = 2;
  Caller call;
  const grpo_status status = bench.run(feed, call);
  need(status == GRPO_STATUS_FAILED, "deliver failed, and generate returned " + status_text(status),
       "when deliver is not OK, stop generating and return its status");
  bench.need_slots_free("after deliver failed");
  bench.generate(usual_asks());
}

void model_fails(Subject& s) {
  SamplerBench bench(s);
  need_bound(bench);
  bench.model.fail_at_step = 2;
  FeedBench feed(usual_asks(), Fields::plain, bench.vocabulary());
  Caller call;
  const grpo_status status = bench.run(feed, call);
  need(status != GRPO_STATUS_OK, "a step of the model failed, and generate returned OK", "return the model's status");
  need(call.spoke(), "a step of the model failed, and nobody says why", "pass your own call on to the model");
  bench.need_slots_free("after a step failed");
  const auto asks = usual_asks();
  need_expected(bench, asks, bench.generate(asks), "after a step failed", "start the next generate afresh");
}

void slots(Subject& s) {
  SamplerBench bench(s);
  need_bound(bench);
  for (int i = 0; i < 3; ++i) {
    bench.generate(usual_asks());
    bench.need_slots_free("after generate");
  }
  bench.close();
  need(bench.model.sessions == 0,
       std::to_string(bench.model.sessions) + " sessions of the decoder are open after close",
       "close the session before close returns");
}

void weights(Subject& s) {
  SamplerBench bench(s);
  need_bound(bench);
  const auto asks = usual_asks();
  for (const std::int64_t version : {7, 8}) {
    bench.model.weights = static_cast<std::uint64_t>(version);
    bench.table->model_changed(bench.handle(), version);
    const Results got = bench.generate(asks);
    for (const auto& [name, g] : got)
      need(g.version == version,
           "after model_changed(" + std::to_string(version) + ") completions say version " + std::to_string(g.version),
           "completions carry the version of the weights that made them");
    need_expected(bench, asks, got, "after the weights changed", "keep no cache of prompts over model_changed");
  }
}

void fields(Subject& s) {
  Results plain;
  for (const Fields how : {Fields::plain, Fields::longer, Fields::noisy}) {
    SamplerBench bench(s, false, how);
    const Results got = bench.generate(usual_asks());
    if (how == Fields::plain) plain = got;
    need_same(got, plain, "when the host's structs are longer than these headers say");
  }
}

void unsupported(Subject& s) {
  SamplerBench bench(s);
  const std::uint32_t lacks = ~bench.info().sampling;
  Ask ask{1, 5, {1, 2}, 1, {}};
  if (lacks & GRPO_SAMPLING_STOP_TEXT)
    ask.plan.stop_text = {"a"};
  else if (lacks & GRPO_SAMPLING_MIN_P)
    ask.plan.min_p = 0.2;
  else if (lacks & GRPO_SAMPLING_TOP_K)
    ask.plan.top_k = 3;
  else
    throw Skipped{"it offers everything"};
  FeedBench feed({ask}, Fields::plain, bench.vocabulary());
  Caller call;
  const grpo_status status = bench.run(feed, call);
  need(status != GRPO_STATUS_OK || !feed.results().empty(),
       "it dropped a request with an option that it does not offer", "");
  if (status == GRPO_STATUS_OK)
    throw Failed{
        "it took a request with a sampling option that its description does not offer, and answered as if it were not "
        "there",
        "describe what you honour in `sampling`, and refuse the rest with GRPO_STATUS_UNSUPPORTED and a message"};
  need(call.spoke(), "it refuses a sampling option without a message", "name it with call->fail");
}

void growth(Subject& s) {
  SamplerBench bench(s);
  const int n = need_no_growth(s, s.times(1200, 30), "generating", [&] { bench.generate(usual_asks()); });
  s.note = std::to_string(n) + " times";
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
    {"sampler.cancel", "sampler", "a cancelled request comes back short, all others whole", cancel},
    {"sampler.stop", "sampler", "a cancelled call ends generate soon", stop},
    {"sampler.refusal", "sampler", "when deliver fails, generate ends with its status", refusal},
    {"sampler.model_fails", "sampler", "when the model fails, generate fails, and works again afterwards", model_fails},
    {"sampler.slots", "sampler", "slots are released and sessions closed", slots},
    {"sampler.weights", "sampler", "after model_changed completions carry the new version and the new weights",
     weights},
    {"sampler.fields", "sampler", "longer structs of a later host change nothing", fields},
    {"sampler.unsupported", "sampler", "a sampling option that it does not offer is refused with a message",
     unsupported},
    {"sampler.growth", "sampler", "generating leaves no memory, thread or descriptor behind", growth},
};

}  // namespace

std::span<const Check> sampler_checks() { return all; }

}  // namespace grpo::plugins::conformance
