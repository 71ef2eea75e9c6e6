// A session of a model's decoder.
#include <map>

#include "model_bench.hpp"

namespace grpo::plugins::conformance {

grpo_sampling plan(double temperature, std::int32_t max_new) {
  auto s = made<grpo_sampling>();
  s.temperature = temperature;
  s.max_new = max_new;
  return s;
}

void SessionBench::need_ok(grpo_status status, const Caller& call, const char* function) const {
  need(status == GRPO_STATUS_OK,
       std::string(function) + " failed: " + (call.spoke() ? call.error() : "without a message") + " (" +
           status_text(status) + ")",
       "");
}

SessionBench::SessionBench(ModelBench& model, std::int64_t slots, std::int64_t tokens)
    : model_(model), table_(model.decode()) {
  Struct<grpo_decode_session> wanted("the grpo_decode_session", model.fields());
  wanted->slots = slots;
  wanted->tokens = tokens;
  wanted.seal();
  Caller call(model.fields());
  model.subject().at("session_open");
  need_ok(table_->session_open(model.handle(), call, wanted, &handle_), call, "session_open");
  call.end();
}

SessionBench::~SessionBench() { table_->session_close(handle_); }

void SessionBench::prefill(std::int64_t slot, const Tokens& tokens) { prefill(std::vector{slot}, {tokens}); }

void SessionBench::prefill(const std::vector<std::int64_t>& slots, const std::vector<Tokens>& tokens) {
  std::vector<std::int64_t> start{0};
  Tokens all;
  for (const Tokens& t : tokens) {
    all.insert(all.end(), t.begin(), t.end());
    start.push_back(static_cast<std::int64_t>(all.size()));
  }
  Pages slot_p = copied(slots.data(), slots.size(), "prefill's slot"),
        start_p = copied(start.data(), start.size(), "prefill's start"),
        token_p = copied(all.data(), all.size(), "prefill's token");
  Struct<grpo_decode_prefill> a("the grpo_decode_prefill", model_.fields());
  a->n = static_cast<std::int64_t>(slots.size());
  a->slot = slot_p.as<const std::int64_t>();
  a->start = start_p.as<const std::int64_t>();
  a->token = token_p.as<const std::int32_t>();
  a.seal();
  Caller call(model_.fields());
  model_.subject().at("prefill");
  need_ok(table_->prefill(handle_, call, a), call, "prefill");
  call.end();
}

void SessionBench::fork(std::int64_t from, const std::vector<std::int64_t>& to) {
  const std::vector<std::int64_t> froms(to.size(), from);
  Pages from_p = copied(froms.data(), froms.size(), "fork's from"), to_p = copied(to.data(), to.size(), "fork's to");
  Struct<grpo_decode_fork> a("the grpo_decode_fork", model_.fields());
  a->n = static_cast<std::int64_t>(to.size());
  a->from = from_p.as<const std::int64_t>();
  a->to = to_p.as<const std::int64_t>();
  a.seal();
  Caller call(model_.fields());
  model_.subject().at("fork");
  need_ok(table_->fork(handle_, call, a), call, "fork");
  call.end();
}

void SessionBench::assign(std::int64_t slot, std::uint64_t key, const grpo_sampling& sampling) {
  Struct<grpo_sampling> s("a grpo_sampling", model_.fields());
  const std::uint32_t size = s->struct_size;
  *s.get() = sampling;
  s->struct_size = size;
  Pages stop = copied(sampling.stop, static_cast<std::size_t>(sampling.n_stop), "sampling->stop");
  s->stop = stop.as<const std::int32_t>();
  s.seal();
  const grpo_sampling* list[] = {s};
  Struct<grpo_decode_assign> a("the grpo_decode_assign", model_.fields());
  a->n = 1;
  a->slot = &slot;
  a->key = &key;
  a->sampling = list;
  a.seal();
  Caller call(model_.fields());
  model_.subject().at("assign");
  need_ok(table_->assign(handle_, call, a), call, "assign");
  call.end();
  s.pages().inaccessible();  // the engine copies what it needs
  stop.inaccessible();
}

std::vector<SessionBench::Row> SessionBench::step(const std::vector<std::int64_t>& slots, std::int64_t room,
                                                  bool logits, const Tokens& force, std::uint32_t flags) {
  const std::size_t n = slots.size(), cells = n * static_cast<std::size_t>(room),
                    vocabulary = static_cast<std::size_t>(model_.info().vocabulary);
  Pages token(cells * 4, "step's token"), count(n * 4, "step's count"), ended(n * 4, "step's ended"),
      logprob(cells * 4, "step's logprob"), sampled(cells * 4, "step's logprob_sampled"),
      scores(logits ? n * vocabulary * 4 : 0, "step's logits"),
      slot_p = copied(slots.data(), n, "step's slot"), force_p = copied(force.data(), force.size(), "step's force");
  Struct<grpo_decode_step> a("the grpo_decode_step", model_.fields());
  a->flags = flags;
  a->n = static_cast<std::int64_t>(n);
  a->room = room;
  a->slot = slot_p.as<const std::int64_t>();
  a->force = force.empty() ? nullptr : force_p.as<const std::int32_t>();
  a->token = token.as<std::int32_t>();
  a->count = count.as<std::int32_t>();
  a->ended = ended.as<std::int32_t>();
  a->logprob = logprob.as<float>();
  a->logprob_sampled = sampled.as<float>();
  a->logits = logits ? scores.as<float>() : nullptr;
  a.seal();
  Caller call(model_.fields());
  model_.subject().at("step with room " + std::to_string(room));
  need_ok(table_->step(handle_, call, a), call, "step");
  call.end();
  for (const Pages* p : {&token, &count, &ended, &logprob, &sampled, &scores})
    need(p->intact(), "it wrote before the first element of " + p->what(), "rows are in the order of slot, [n][room]");
  std::vector<Row> out(n);
  for (std::size_t i = 0; i < n; ++i) {
    if (logits) out[i].logits.assign(scores.as<float>() + i * vocabulary, scores.as<float>() + (i + 1) * vocabulary);
    if (flags & GRPO_STEP_PEEK) continue;
    out[i].ended = ended.as<std::int32_t>()[i];
    const std::int32_t made = count.as<std::int32_t>()[i];
    need(made >= 0 && made <= room && (made == room || out[i].ended != GRPO_FINISH_NONE),
         "step with room " + std::to_string(room) + " made " + std::to_string(made) +
             " tokens in a row that has not ended",
         "count is under room only if the row ended");
    for (std::int32_t k = 0; k < made; ++k) {
      const std::size_t at = i * static_cast<std::size_t>(room) + static_cast<std::size_t>(k);
      const std::int32_t id = token.as<std::int32_t>()[at];
      need(id >= 0 && id < model_.info().vocabulary, "step chose the id " + std::to_string(id),
           "ids are 0 to vocabulary - 1");
      out[i].tokens.push_back(id);
      out[i].logprob.push_back(logprob.as<float>()[at]);
      out[i].sampled.push_back(sampled.as<float>()[at]);
    }
  }
  return out;
}

std::vector<SessionBench::Row> SessionBench::run(std::vector<std::int64_t> slots, std::int64_t room) {
  std::map<std::int64_t, Row> rows;
  const auto all = slots;
  for (int turns = 0; !slots.empty(); ++turns) {
    need(turns < 10'000, "a slot never ends, whatever its max_new", "count the tokens since assign");
    const auto made = step(slots, room);
    std::vector<std::int64_t> live;
    for (std::size_t i = 0; i < slots.size(); ++i) {
      Row& r = rows[slots[i]];
      r.tokens.insert(r.tokens.end(), made[i].tokens.begin(), made[i].tokens.end());
      r.logprob.insert(r.logprob.end(), made[i].logprob.begin(), made[i].logprob.end());
      r.sampled.insert(r.sampled.end(), made[i].sampled.begin(), made[i].sampled.end());
      r.ended = made[i].ended;
      if (!r.ended) live.push_back(slots[i]);
    }
    slots = live;
  }
  std::vector<Row> out;
  for (const std::int64_t slot : all) out.push_back(rows[slot]);
  return out;
}

void SessionBench::release(const std::vector<std::int64_t>& slots) {
  model_.subject().at("release");
  table_->release(handle_, static_cast<std::int64_t>(slots.size()), slots.data());
}

std::int64_t SessionBench::free_tokens() const { return table_->free_tokens(handle_); }

}  // namespace grpo::plugins::conformance
