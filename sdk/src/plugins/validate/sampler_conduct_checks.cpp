// grpo.sampler/1: how a sampler ends, fails, cleans up and changes weights.
#include <algorithm>

#include "sampler_bench.hpp"
#include "sampler_checks.hpp"

namespace grpo::plugins::conformance {
namespace {

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

// What it would load is its own affair; that it forgets what it is told to forget is not.
void update(Subject& s) {
  SamplerBench bench(s);
  if (!(bench.info().flags & GRPO_SAMPLER_UPDATES))
    throw Skipped{"it has no weights of its own (no GRPO_SAMPLER_UPDATES)"};
  need(bench.table->update_begin && bench.table->update_end,
       "its description says GRPO_SAMPLER_UPDATES, and its table lacks update_begin or update_end", "give both");
  const auto asks = usual_asks();
  const Results before = bench.generate(asks);
  Caller begin, end;
  const grpo_tensor_sink* sink = nullptr;
  s.at("update_begin");
  grpo_status status = bench.table->update_begin(bench.handle(), begin, before.begin()->second.version + 5, &sink);
  need(status == GRPO_STATUS_OK, "update_begin failed: " + begin.error() + " (" + status_text(status) + ")", "");
  need(sink && sink->put, "update_begin gave no sink", "a grpo_tensor_sink, valid until update_end");
  s.at("update_end that forgets");
  status = bench.table->update_end(bench.handle(), end, /*accept=*/0);
  need(status == GRPO_STATUS_OK, "update_end failed: " + end.error() + " (" + status_text(status) + ")", "");
  const Results after = bench.generate(asks);
  need_same(after, before, "after an update that was called off");
  for (const auto& [name, g] : after)
    need(g.version == before.at(name).version,
         "after an update that was called off completions say version " + std::to_string(g.version) + ", before it " +
             std::to_string(before.at(name).version),
         "with accept 0 forget the new weights and their version");
}

void fields(Subject& s) {
  Results plain;
  for (const Fields how : later_hosts(s)) {
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
    {"sampler.cancel", "sampler", "a cancelled request comes back short, all others whole", cancel},
    {"sampler.stop", "sampler", "a cancelled call ends generate soon", stop},
    {"sampler.refusal", "sampler", "when deliver fails, generate ends with its status", refusal},
    {"sampler.model_fails", "sampler", "when the model fails, generate fails, and works again afterwards", model_fails},
    {"sampler.slots", "sampler", "slots are released and sessions closed", slots},
    {"sampler.weights", "sampler", "after model_changed completions carry the new version and the new weights",
     weights},
    {"sampler.update", "sampler", "an update that is called off changes neither weights nor version", update},
    {"sampler.fields", "sampler", "longer structs of a later host change nothing", fields},
    {"sampler.unsupported", "sampler", "a sampling option that it does not offer is refused with a message",
     unsupported},
    {"sampler.growth", "sampler", "generating leaves no memory, thread or descriptor behind", growth},
};

}  // namespace

std::span<const Check> sampler_conduct_checks() { return all; }

}  // namespace grpo::plugins::conformance
