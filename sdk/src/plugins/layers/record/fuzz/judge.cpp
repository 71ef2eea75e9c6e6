#include <cmath>
#include <cstring>
#include <limits>
#include <set>

#include "../scored.hpp"
#include "rewards.hpp"

namespace grpo::plugins::fuzzing {
namespace {

bool equal(double a, double b, double tolerance) {
  if ((std::isnan(a) && std::isnan(b)) || std::memcmp(&a, &b, sizeof a) == 0) return true;
  return std::fabs(a - b) <= tolerance * std::max({1.0, std::fabs(a), std::fabs(b)});
}

std::string number(double x) {
  char text[32];
  std::snprintf(text, sizeof text, "%.17g", x);
  return text;
}

double component(const wire::RewardResult& r, const std::string& name, int i) {
  for (const auto& c : r.component())
    if (c.name() == name && i < c.value_size()) return c.value(i);
  return std::numeric_limits<double>::quiet_NaN();
}

// The first sample that two calls do not agree on, in words.
std::string disagreement(const wire::RewardResult& a, const wire::RewardResult& b, const std::vector<int>& from,
                         double tolerance) {
  std::set<std::string> names;
  for (const auto* r : {&a, &b})
    for (const auto& c : r->component()) names.insert(c.name());
  for (int j = 0; j < b.score_size() && j < static_cast<int>(from.size()); ++j) {
    const int i = from[static_cast<std::size_t>(j)];
    if (i >= a.score_size()) continue;
    const std::string sample = "sample " + std::to_string(i) + ": ";
    if (a.status(i) != b.status(j))
      return sample + "status " + std::to_string(a.status(i)) + ", then " + std::to_string(b.status(j));
    if (!equal(a.score(i), b.score(j), tolerance))
      return sample + "score " + number(a.score(i)) + ", then " + number(b.score(j));
    for (const std::string& name : names) {
      const double x = component(a, name, i), y = component(b, name, j);
      if (!equal(x, y, tolerance)) return sample + "component " + name + " " + number(x) + ", then " + number(y);
    }
  }
  return {};
}

const wire::Envelope* answer_of(const Outcome& outcome, std::uint64_t call) {
  const auto at = outcome.answers.find(call);
  return call == 0 || at == outcome.answers.end() ? nullptr : &at->second;
}

}  // namespace

std::optional<Variant> variant(const wire::RewardBatch& b, Way way, std::uint32_t flags) {
  const int n = static_cast<int>(b.n_samples());
  Variant out;
  if (way == Way::as_is || way == Way::repeated) {
    out.batch = b;
    for (int i = 0; i < n; ++i) out.from.push_back(i);
    return out;
  }
  if (n < 2) return {};
  if (way == Way::reversed) {
    for (int i = n - 1; i >= 0; --i) out.from.push_back(i);
    out.batch = reversed(b);
    return out;
  }
  if (flags & GRPO_REWARD_WHOLE_BATCH) return {};
  for (int i = 0; i < n; ++i)
    if (flags & GRPO_REWARD_WHOLE_GROUPS ? b.row(i) >= (b.n_rows() + 1) / 2 : i >= n / 2) out.from.push_back(i);
  if (out.from.empty() || static_cast<int>(out.from.size()) == n) return {};
  out.batch = selected(b, out.from);
  return out;
}

Calls add(Script& script, const wire::RewardBatch& batch, std::uint32_t flags, const std::string& only_for) {
  const auto call = [&](Way way, const char* kind) -> std::uint64_t {
    if (!only_for.empty() && only_for != kind) return 0;
    const auto v = variant(batch, way, flags);
    return v ? script.score(v->batch) : 0;
  };
  Calls calls;
  calls.as_is = script.score(batch);
  calls.repeated = call(Way::repeated, "repeat");
  calls.reversed = call(Way::reversed, "order");
  calls.part = call(Way::part, "split");
  return calls;
}

Problem judge_end(const Outcome& outcome) {
  if (outcome.timed_out) return {"hang", "a call did not return in time", outcome.output};
  const std::string in = outcome.unanswered == 0 ? ", after its last call" : "";
  if (outcome.signal != 0) {
    const char* name = sigabbrev_np(outcome.signal);
    return {"crash", "SIG" + std::string(name ? name : std::to_string(outcome.signal)) + in, outcome.output};
  }
  if (outcome.unanswered != 0)
    return {"exit", "it ended the process, with status " + std::to_string(outcome.exit_status), outcome.output};
  return {};
}

Problem judge(const Outcome& outcome, const Calls& calls, const wire::RewardBatch& batch, std::uint32_t flags) {
  for (const auto call : {calls.as_is, calls.repeated, calls.reversed, calls.part})
    if (call != 0 && outcome.unanswered == call) return judge_end(outcome);
  const auto* first = answer_of(outcome, calls.as_is);
  if (!first) return {};
  for (const auto call : {calls.as_is, calls.repeated, calls.reversed, calls.part}) {
    const auto* answer = answer_of(outcome, call);
    if (!answer) continue;
    if (answer->status() != GRPO_STATUS_OK) {
      if (answer->error().empty()) return {"score", "a call fails without a text", ""};
      continue;
    }
    for (const auto& flaw : record::flaws_of(answer->reward().result()))
      return {"score", flaw.rule + ": " + flaw.got + ", sample " + std::to_string(flaw.sample), ""};
  }
  // Sums over a group may round otherwise in another order.
  const double tolerance = flags & (GRPO_REWARD_WHOLE_GROUPS | GRPO_REWARD_WHOLE_BATCH) ? 1e-9 : 0;
  const std::tuple<std::uint64_t, Way, const char*, const char*> others[] = {
      {calls.repeated, Way::repeated, "repeat", "the same batch again"},
      {calls.reversed, Way::reversed, "order", "the samples in the opposite order"},
      {calls.part, Way::part, "split", "a part of the batch alone"}};
  for (const auto& [call, way, kind, words] : others) {
    const auto* answer = answer_of(outcome, call);
    if (!answer) continue;
    if (first->status() != answer->status())
      return {kind, std::string(words) + ": a call that went well fails, or the reverse", ""};
    const std::string differs = disagreement(first->reward().result(), answer->reward().result(),
                                             variant(batch, way, flags)->from, way == Way::repeated ? 0 : tolerance);
    if (!differs.empty()) return {kind, std::string(words) + ": " + differs, ""};
  }
  for (const auto call : {calls.as_is, calls.repeated, calls.reversed, calls.part})
    if (const auto at = outcome.broken.find(call); at != outcome.broken.end()) return {"contract", at->second, ""};
  return {};
}

Script script_of(const Case& c, const wire::Component& component, const Problem& problem, const Outcome& outcome,
                 const Calls& calls, std::uint32_t flags) {
  Script script(component, c.options.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  script.opens_well();
  const auto* first = answer_of(outcome, calls.as_is);
  const Way way = problem.kind == "repeat"  ? Way::repeated
                  : problem.kind == "order" ? Way::reversed
                  : problem.kind == "split" ? Way::part
                                            : Way::as_is;
  if (way == Way::as_is || !first) {
    script.score(c.batch);
    return script;
  }
  const wire::RewardResult& whole = first->reward().result();
  const auto other = variant(c.batch, way, flags);
  wire::RewardResult expected;
  for (const int i : other->from) {
    expected.add_score(whole.score(i));
    expected.add_status(whole.status(i));
    if (whole.message_size()) expected.add_message(whole.message(i));
  }
  for (const auto& column : whole.component()) {
    auto& out = *expected.add_component();
    out.set_name(column.name());
    for (const int i : other->from) out.add_value(column.value(i));
  }
  script.score(c.batch, &whole);
  script.score(other->batch, &expected);
  return script;
}

}  // namespace grpo::plugins::fuzzing
