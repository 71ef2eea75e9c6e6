// A step of a decode session: what it may be asked, and what it may answer.
#include <algorithm>
#include <cmath>
#include <limits>

#include "decode.hpp"

namespace grpo::plugins::check {
namespace {

constexpr float tolerance = 1e-4f;  // of rounding, above 0
constexpr std::int32_t unwritten = std::numeric_limits<std::int32_t>::min();

std::string step_problem(const Session& s, const grpo_decode_step* d) {
  if (!d || too_short(d)) return "the arguments are NULL, or too short";
  if (auto problem = s.list_problem(d->slot, d->n); !problem.empty()) return problem;
  const std::int32_t most = s.model.decode_said.max_room;
  if (d->room < 1 || (most > 0 && d->room > most))
    return "room " + std::to_string(d->room) + (most > 0 ? "; the engine makes at most " + std::to_string(most) : "");
  const bool peek = (d->flags & GRPO_STEP_PEEK) != 0;
  if (peek && d->n > 0 && !d->logits) return "a peek without a place for logits";
  if (!peek && d->n > 0 && (!d->token || !d->count || !d->ended)) return "token, count or ended is NULL";
  for (std::int64_t i = 0; d->force && i < d->n; ++i)
    if (d->force[i] < -1 || d->force[i] >= s.model.said.vocabulary)
      return "row " + std::to_string(i) + " is forced to the id " + std::to_string(d->force[i]);
  return {};
}

// The slots of a call, each as a step may find it.
void look_at_slots(Session& s, Run& run, const grpo_decode_step& d) {
  const bool peek = (d.flags & GRPO_STEP_PEEK) != 0;
  for (std::int64_t i = 0; i < d.n && !run.refused(); ++i) {
    const Slot& slot = s.at(d.slot[i]);
    const std::string which = "slot " + std::to_string(d.slot[i]);
    if (slot.length == 0)
      run.wrong(rule::decode_slot_empty, which + " is empty");
    else if (!slot.assigned && !peek)
      run.wrong(rule::decode_unassigned, which + " has no assignment");
    else if (slot.ended && !peek)
      run.wrong(rule::decode_ended, which + " has ended");
  }
}

grpo_decode_step* copy(Scratch& m, const grpo_decode_step& from, std::int64_t vocabulary) {
  grpo_decode_step* d = m.structure(from);
  const std::int64_t all = d->n * d->room;
  d->slot = m.input(d->slot, d->n, "slot");
  d->force = m.input(d->force, d->n, "force");
  d->token = m.result(d->token, all, "token");
  d->count = m.result(d->count, d->n, "count");
  d->ended = m.result(d->ended, d->n, "ended");
  d->logprob = m.result(d->logprob, all, "logprob");
  d->logprob_sampled = m.result(d->logprob_sampled, all, "logprob_sampled");
  d->logits = m.result(d->logits, d->n * vocabulary, "logits");
  m.lock(d, "the arguments");
  if (d->flags & GRPO_STEP_PEEK) return d;
  for (std::int32_t* out : {d->count, d->ended})
    if (out) std::fill_n(out, d->n, unwritten);
  if (d->token) std::fill_n(d->token, all, unwritten);
  for (float* out : {d->logprob, d->logprob_sampled})
    if (out) std::fill_n(out, all, std::numeric_limits<float>::quiet_NaN());
  return d;
}

// One row of the answer.
struct Row {
  Session& s;
  Run& run;
  const grpo_decode_step& d;
  std::int64_t i;
  Slot& slot = s.at(d.slot[i]);

  void broken(const Rule& rule, const std::string& what) const {
    run.broken(rule, "row " + std::to_string(i) + " (slot " + std::to_string(d.slot[i]) + "): " + what);
  }
  bool is_stop(std::int32_t id) const { return std::find(slot.stop.begin(), slot.stop.end(), id) != slot.stop.end(); }

  bool count_is_sound() const {
    const std::int64_t count = d.count[i];
    if (count >= 0 && count <= d.room && (count == d.room || d.ended[i] != GRPO_FINISH_NONE)) return true;
    broken(rule::decode_count, d.count[i] == unwritten
                                   ? "count was not written"
                                   : std::to_string(count) + " tokens with room for " + std::to_string(d.room) +
                                         (count >= 0 && count < d.room ? ", and it has not ended" : ""));
    return false;
  }
  bool tokens_are_sound() const {
    for (std::int64_t k = 0; k < d.count[i]; ++k) {
      const std::int32_t id = d.token[i * d.room + k];
      if (id >= 0 && id < s.model.said.vocabulary) continue;
      broken(rule::decode_token, "token " + std::to_string(k) +
                                     (id == unwritten ? " was not written" : " is the id " + std::to_string(id)));
      return false;
    }
    if (d.force && d.force[i] >= 0 && d.count[i] > 0 && d.token[i * d.room] != d.force[i])
      broken(rule::decode_force,
             "forced to the id " + std::to_string(d.force[i]) + ", it took " + std::to_string(d.token[i * d.room]));
    return true;
  }
  void look_at_end() const {
    const std::int64_t count = d.count[i], made = slot.made + count;
    const std::int32_t how = d.ended[i];
    if (how != GRPO_FINISH_NONE && how != GRPO_FINISH_STOP && how != GRPO_FINISH_LENGTH)
      return broken(rule::decode_end, how == unwritten ? "ended was not written" : "ended is " + std::to_string(how));
    for (std::int64_t k = 0; k < count; ++k) {
      const std::int32_t id = d.token[i * d.room + k];
      if (!is_stop(id)) continue;
      const bool forced = k == 0 && d.force && d.force[i] >= 0;
      if (k + 1 < count || how != GRPO_FINISH_STOP)
        return broken(rule::decode_end, "it went on after the stop id " + std::to_string(id));
      if (slot.made + k < slot.min_new && !forced)
        return broken(rule::decode_limit, "the stop id " + std::to_string(id) + " came as token " +
                                              std::to_string(slot.made + k + 1) + ", and min_new is " +
                                              std::to_string(slot.min_new));
    }
    if (how == GRPO_FINISH_STOP && (count == 0 || !is_stop(d.token[i * d.room + count - 1])))
      return broken(rule::decode_end, "it stopped, and its last token is no stop id");
    if (slot.max_new > 0 && (made > slot.max_new || (made == slot.max_new && how == GRPO_FINISH_NONE)))
      return broken(rule::decode_limit, std::to_string(made) + " tokens" +
                                            (made == slot.max_new ? ", and goes on" : "") + "; max_new is " +
                                            std::to_string(slot.max_new));
    const bool positions_left = slot.length + count + 2 < s.model.said.max_positions;
    if (how == GRPO_FINISH_LENGTH && positions_left && (slot.max_new == 0 || made < slot.max_new))
      broken(rule::decode_end, "it ended by length after " + std::to_string(made) + " tokens; max_new is " +
                                   std::to_string(slot.max_new));
  }
  void look_at_numbers() const {
    for (const float* values : {d.logprob, d.logprob_sampled}) {
      for (std::int64_t k = 0; values && k < d.count[i]; ++k) {
        const float x = values[i * d.room + k];
        if (std::isnan(x) || x > tolerance)
          return broken(rule::decode_logprob,
                        "the log-probability of token " + std::to_string(k) + " is " + std::to_string(x));
      }
    }
  }
  void take() const {
    slot.length += d.count[i];
    slot.made += d.count[i];
    slot.ended = d.ended[i] != GRPO_FINISH_NONE;
  }
};

void look_at_logits(Run& run, const grpo_decode_step& d, std::int64_t vocabulary) {
  for (std::int64_t k = 0; d.logits && k < d.n * vocabulary; ++k)
    if (std::isnan(d.logits[k]))
      return run.broken(rule::decode_logprob, "the logit of id " + std::to_string(k % vocabulary) + " in row " +
                                                  std::to_string(k / vocabulary) + " is NaN");
}

}  // namespace

grpo_status checked_step(void* session, const grpo_call* call, const grpo_decode_step* step) noexcept {
  return perform<Session>(session, "decode.step", Threads::same, call, [&](Session& s, Run& run) -> grpo_status {
    if (const auto problem = step_problem(s, step); !problem.empty())
      return run.wrong(rule::decode_arguments, problem), GRPO_STATUS_INVALID;
    look_at_slots(s, run, *step);
    if (run.refused()) return GRPO_STATUS_INVALID;
    const std::int64_t vocabulary = s.model.said.vocabulary;
    const grpo_decode_step* d = copy(run.memory(), *step, vocabulary);
    const grpo_status status = s.model.decode->step(s.inner, run.call(), d);
    const bool stopped = status == GRPO_STATUS_CANCELLED || status == GRPO_STATUS_DEADLINE;
    if (status != GRPO_STATUS_OK && !stopped) return status;
    run.memory().copy_out();
    if (step->flags & GRPO_STEP_PEEK) return look_at_logits(run, *d, vocabulary), status;
    for (std::int64_t i = 0; i < d->n; ++i) {
      const Row row{s, run, *d, i};
      if (stopped && d->count[i] == unwritten) continue;
      if ((stopped || row.count_is_sound()) && row.tokens_are_sound()) {
        if (!stopped) row.look_at_end();
        row.look_at_numbers();
        row.take();
      }
    }
    look_at_logits(run, *d, vocabulary);
    return status;
  });
}

}  // namespace grpo::plugins::check
