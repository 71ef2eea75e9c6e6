// grpo.decode/1 of a model.
#include <grpo/random.h>

#include <algorithm>
#include <cmath>

#include "model_bench.hpp"
#include "model_checks.hpp"

namespace grpo::plugins::conformance {
namespace {

using Row = SessionBench::Row;

const char* const agree_way =
    "forward and step compute the same thing; decode_dtype or other low precision is a quirk to declare";

// Log-probabilities of `ids` after `prompt`, by forward.
std::vector<float> by_forward(ModelBench& m, const Tokens& prompt, const Tokens& ids, double temperature) {
  Forest f;
  f.add_scored(f.add(Forest::root, prompt), ids);
  return m.forward(f, temperature).logprob;
}

void agrees(Subject& s) {
  ModelBench m(s);
  m.need_decode();
  const Tokens prompt = m.tokens(1, m.length(10) / 2 + 1);
  const auto room_left = static_cast<std::int32_t>(
      std::min<std::int64_t>(10, m.info().max_positions - static_cast<std::int64_t>(prompt.size())));
  double worst = 0;
  for (const double temperature : {1.0, 0.7, 0.0}) {
    SessionBench session(m, 2, 256);
    session.prefill(0, prompt);
    session.assign(0, 5, plan(temperature, room_left));
    const auto logits = session.step({0}, 1, true, {}, GRPO_STEP_PEEK)[0].logits;
    const Row row = session.run({0}, 3)[0];
    const auto expected = by_forward(m, prompt, row.tokens, temperature > 0 ? temperature : 1);
    for (std::size_t i = 0; i < row.tokens.size(); ++i) {
      const double off = std::abs(static_cast<double>(row.logprob[i]) - static_cast<double>(expected[i]));
      worst = std::max(worst, off);
      need(off < 2e-3,
           "token " + std::to_string(i) + " at temperature " + std::to_string(temperature) +
               ": step says log-probability " + std::to_string(row.logprob[i]) + ", forward " +
               std::to_string(expected[i]),
           agree_way);
    }
    // The logits, normalised, are forward's next-token distribution.
    double top = -1e300, sum = 0;
    for (const float z : logits) top = std::max(top, static_cast<double>(z));
    for (const float z : logits) sum += std::exp(static_cast<double>(z) - top);
    for (const std::int32_t id : m.tokens(77, 8)) {
      const double logp = static_cast<double>(logits[static_cast<std::size_t>(id)]) - top - std::log(sum);
      need(std::abs(logp - static_cast<double>(by_forward(m, prompt, {id}, 1)[0])) < 2e-3,
           "the logits of step give id " + std::to_string(id) + " the log-probability " + std::to_string(logp) +
               ", forward " + std::to_string(by_forward(m, prompt, {id}, 1)[0]),
           agree_way);
    }
    if (temperature == 0) {
      const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
      need(row.tokens[0] == best,
           "at temperature 0 it chose " + std::to_string(row.tokens[0]) + ", the most probable is " +
               std::to_string(best),
           "temperature 0: the most probable token, the lowest id on a tie");
    }
  }
  char text[64];
  std::snprintf(text, sizeof text, "log-probabilities within %.1e of forward", worst);
  s.note = text;
}

// Each token is the one that random.h draws from the logits; near a border rounding may choose the neighbour.
void draws(Subject& s) {
  ModelBench m(s);
  m.need_decode();
  const Tokens prompt = m.tokens(1, m.length(6));
  const auto limit = static_cast<std::int32_t>(
      std::min<std::int64_t>(16, m.info().max_positions - static_cast<std::int64_t>(prompt.size())));
  if (limit < 1) throw Skipped{"its positions leave no room to generate"};
  int compared = 0;
  for (std::uint64_t key = 1; key <= 6; ++key) {
    SessionBench session(m, 1, 256);
    session.prefill(0, prompt);
    session.assign(0, key, plan(0.9, limit));
    Tokens sequence = prompt;
    for (std::int32_t i = 0; i < limit; ++i) {
      const Row row = session.step({0}, 1, true)[0];
      const double u = grpo_random_uniform(key, sequence.size());
      double top = -1e300, all = 0, sum = 0;
      for (const float z : row.logits) top = std::max(top, static_cast<double>(z) / 0.9);
      for (const float z : row.logits) all += std::exp(static_cast<double>(z) / 0.9 - top);
      const auto id = static_cast<std::size_t>(row.tokens[0]);
      for (std::size_t v = 0; v < id; ++v) sum += std::exp(static_cast<double>(row.logits[v]) / 0.9 - top) / all;
      const double own = std::exp(static_cast<double>(row.logits[id]) / 0.9 - top) / all;
      need(u > sum - 1e-4 && u < sum + own + 1e-4,
           "for a draw of " + std::to_string(u) + " it chose id " + std::to_string(id) +
               ", which has the probabilities from " + std::to_string(sum) + " to " + std::to_string(sum + own),
           "u(position) = grpo_random_uniform(key, position), inverse distribution in id order: random.h");
      need(std::abs(static_cast<double>(row.sampled[0]) - std::log(own)) < 1e-3,
           "logprob_sampled is not that of the distribution drawn from", "");
      sequence.push_back(row.tokens[0]);
      ++compared;
      if (row.ended) break;
    }
  }
  s.note = std::to_string(compared) + " draws";
}

void need_same(const Row& a, const Row& b, const std::string& when, const std::string& way) {
  need(a.tokens == b.tokens && a.ended == b.ended, "a sequence has other tokens " + when, way);
  for (std::size_t i = 0; i < a.logprob.size(); ++i)
    need(std::abs(a.logprob[i] - b.logprob[i]) < 2e-3f, "a sequence has other log-probabilities " + when, way);
}

// Alone, room by room, in chunks, beside others: the same tokens.
void independent(Subject& s) {
  ModelBench m(s);
  m.need_decode();
  const Tokens prompt = m.tokens(1, m.length(16) / 2 + 1);
  const auto limit = static_cast<std::int32_t>(
      std::min<std::int64_t>(12, m.info().max_positions - static_cast<std::int64_t>(prompt.size())));
  if (limit < 2) throw Skipped{"its positions leave no room to generate"};
  const grpo_decode_info* info = m.decode()->describe(m.handle());
  const std::int64_t most = info && info->max_room > 0 ? info->max_room : 8;
  const auto alone = [&](std::int64_t room, bool chunks) {
    SessionBench session(m, 4, 512);
    if (chunks)
      for (const std::int32_t id : prompt) session.prefill(2, {id});
    else
      session.prefill(2, prompt);
    session.assign(2, 9, plan(1, limit));
    return session.run({2}, room)[0];
  };
  const Row expected = alone(1, false);
  need_same(alone(std::min<std::int64_t>(most, 5), false), expected, "when a step may make several tokens",
            "tokens do not depend on room");
  need_same(alone(1, true), expected, "when the prompt comes in pieces",
            "prefill appends: it feeds the pending token and all given but the last");
  SessionBench session(m, 6, 512);
  session.prefill({5, 1, 3}, {m.tokens(4, m.length(3)), prompt, m.tokens(5, m.length(7))});
  session.assign(5, 8, plan(1, std::min(limit, 3)));
  session.assign(1, 9, plan(1, limit));
  session.assign(3, 7, plan(0.5, std::min(limit, 5)));
  need_same(session.run({5, 1, 3}, 2)[1], expected, "beside other sequences",
            "a slot's key, options and cache are its own");
}

void forks(Subject& s) {
  ModelBench m(s);
  m.need_decode();
  const Tokens prompt = m.tokens(1, m.length(16) / 2 + 1);
  const auto limit = static_cast<std::int32_t>(
      std::min<std::int64_t>(10, m.info().max_positions - static_cast<std::int64_t>(prompt.size())));
  if (limit < 2) throw Skipped{"its positions leave no room to generate"};
  SessionBench session(m, 5, 512);
  session.prefill(0, prompt);
  session.fork(0, {1, 2, 4});
  for (const std::int64_t slot : {0, 1, 2}) session.assign(slot, 3, plan(1, limit));
  session.assign(4, 4, plan(1, limit));
  const auto rows = session.run({0, 1, 2, 4}, 2);
  SessionBench fresh(m, 1, 256);
  fresh.prefill(0, prompt);
  fresh.assign(0, 3, plan(1, limit));
  const Row expected = fresh.run({0}, 2)[0];
  for (int i = 0; i < 3; ++i)
    need_same(rows[static_cast<std::size_t>(i)], expected,
              i ? "in a slot that was forked" : "in the slot that others were forked from",
              "a fork equals its origin; afterwards they do not touch each other");
  // A fork in the middle of a sequence goes on as its origin.
  session.release({1, 2, 4});
  session.release({0});
  session.prefill(0, prompt);
  session.assign(0, 3, plan(1, limit));
  const Row begin = session.step({0}, 1)[0];
  session.fork(0, {3});
  session.assign(3, 3, plan(1, limit - 1));
  Row rest = session.run({3}, 2)[0];
  rest.tokens.insert(rest.tokens.begin(), begin.tokens[0]);
  rest.logprob.insert(rest.logprob.begin(), begin.logprob[0]);
  need_same(rest, expected, "when it was forked in the middle",
            "draws are by position in the sequence, prompt counted");
}

void limits(Subject& s) {
  ModelBench m(s);
  m.need_decode();
  const Tokens prompt = m.tokens(1, m.length(4));
  if (m.info().max_positions < 16) throw Skipped{"it has fewer than 16 positions"};
  const auto run = [&](const grpo_sampling& sampling) {
    SessionBench session(m, 1, 256);
    session.prefill(0, prompt);
    session.assign(0, 2, sampling);
    return session.run({0}, 3)[0];
  };
  const Row free = run(plan(1, 10));
  need(free.tokens.size() == 10 && free.ended == GRPO_FINISH_LENGTH,
       "max_new 10 gave " + std::to_string(free.tokens.size()) + " tokens and ended as " + std::to_string(free.ended),
       "GRPO_FINISH_LENGTH after max_new tokens");
  grpo_sampling stop = plan(1, 10);
  const std::int32_t id = free.tokens[4];
  stop.stop = &id;
  stop.n_stop = 1;
  const auto first =
      static_cast<std::size_t>(std::find(free.tokens.begin(), free.tokens.end(), id) - free.tokens.begin());
  const Row stopped = run(stop);
  need(stopped.tokens == Tokens(free.tokens.begin(), free.tokens.begin() + static_cast<long>(first) + 1) &&
           stopped.ended == GRPO_FINISH_STOP,
       "with a stop id that comes as token " + std::to_string(first) + " it made " +
           std::to_string(stopped.tokens.size()) + " tokens and ended as " + std::to_string(stopped.ended),
       "the stop id is part of the sequence and ends it: GRPO_FINISH_STOP");
  // A choice that the caller makes.
  SessionBench session(m, 1, 256);
  session.prefill(0, prompt);
  session.assign(0, 2, plan(1, 10));
  const auto before = session.step({0}, 1, true, {}, GRPO_STEP_PEEK)[0].logits;
  const auto again = session.step({0}, 1, true, {}, GRPO_STEP_PEEK)[0].logits;
  for (std::size_t v = 0; v < before.size(); ++v)
    need(std::abs(before[v] - again[v]) < 1e-4f, "a second GRPO_STEP_PEEK gives other logits",
         "PEEK leaves the slots as they are");
  const auto wanted = static_cast<std::int32_t>((free.tokens[0] + 1) % m.info().vocabulary);
  const Row forced = session.step({0}, 1, false, {wanted})[0];
  need(forced.tokens == Tokens{wanted}, "a forced token was not taken", "force[i] >= 0 is the first token of the row");
  need(std::abs(forced.logprob[0] - by_forward(m, prompt, {wanted}, 1)[0]) < 2e-3f,
       "the log-probability of a forced token is not the model's", "");
}

void slots(Subject& s) {
  ModelBench m(s);
  m.need_decode();
  const Tokens prompt = m.tokens(1, m.length(6));
  const auto limit = static_cast<std::int32_t>(
      std::min<std::int64_t>(6, m.info().max_positions - static_cast<std::int64_t>(prompt.size())));
  if (limit < 1) throw Skipped{"its positions leave no room to generate"};
  SessionBench session(m, 4, 128);
  const std::int64_t start = session.free_tokens();
  need(start > 0 && start <= (std::int64_t{1} << 40),
       "an empty session of 128 tokens has " + std::to_string(start) + " free", "");
  const auto round = [&] {
    session.prefill(0, prompt);
    session.fork(0, {1, 2});
    for (const std::int64_t slot : {0, 1, 2}) session.assign(slot, static_cast<std::uint64_t>(slot), plan(1, limit));
    session.run({0, 1, 2}, 2);
    session.release({0, 1, 2});
  };
  for (int i = 0; i < 100; ++i) {
    round();
    need(session.free_tokens() == start,
         "after all slots were released " + std::to_string(session.free_tokens()) + " of " + std::to_string(start) +
             " tokens are free",
         "release gives back what the slots held, shared prompts too");
  }
  need_no_growth(s, s.times(100, 20), "a session", [&] {
    SessionBench other(m, 4, 128);
    other.prefill(0, prompt);
    other.fork(0, {1});
  });
  s.note = "100 rounds in one session";
}

void decode_fields(Subject& s) {
  std::vector<Row> rows;
  for (const Fields how : later_hosts(s)) {
    ModelBench m(s, how);
    m.need_decode();
    SessionBench session(m, 2, 128);
    session.prefill(0, m.tokens(1, m.length(6)));
    session.fork(0, {1});
    session.assign(1, 3, plan(1, 2));
    rows.push_back(session.run({1}, 1)[0]);
    need_same(rows.back(), rows.front(), "when the host's structs are longer than these headers say",
              "do not look at fields that your headers do not have");
  }
}

constexpr Check all[] = {
    {"model.decode", "model", "what the decoder says of a token is what forward says", agrees},
    {"model.draws", "model", "the decoder draws as random.h says", draws},
    {"model.independent", "model", "tokens do not depend on room, chunks of the prompt, or other slots", independent},
    {"model.fork", "model", "a forked slot equals its origin, and leaves it alone", forks},
    {"model.limits", "model", "max_new, stop ids, PEEK and force do what decode.h says", limits},
    {"model.slots", "model", "released slots give their tokens back, closed sessions their memory", slots},
    {"model.decode_fields", "model", "longer structs of a later host change nothing for the decoder", decode_fields},
};

}  // namespace

std::span<const Check> model_decode_checks() { return all; }

}  // namespace grpo::plugins::conformance
