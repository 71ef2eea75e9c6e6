// Rules that a decoder, or who drives one, can break.
#include <grpo/decode.h>
#include <gtest/gtest.h>

#include "support.hpp"

namespace grpo::plugins {
namespace {

struct DrivenSession : Driven<grpo_model> {
  DrivenSession(Said& said, const std::string& how) : Driven(said, GRPO_MODEL_ID, "broken", how) {
    decode = static_cast<const grpo_decode*>(table->query(handle, GRPO_DECODE_ID));
    decode->describe(handle);
    grpo_decode_session wanted{};
    wanted.struct_size = sizeof wanted;
    wanted.slots = 4;
    wanted.tokens = 100;
    started = decode->session_open(handle, call, &wanted, &session);
  }
  ~DrivenSession() {
    if (started == GRPO_STATUS_OK) decode->session_close(session);
  }
  grpo_status prefill(std::int64_t slot) {
    grpo_decode_prefill p{};
    p.struct_size = sizeof p;
    const std::int64_t start[] = {0, 2};
    const std::int32_t token[] = {2, 3};
    p.n = 1;
    p.slot = &slot;
    p.start = start;
    p.token = token;
    return decode->prefill(session, call, &p);
  }
  grpo_status fork(std::int64_t from, std::int64_t to) {
    grpo_decode_fork f{};
    f.struct_size = sizeof f;
    f.n = 1;
    f.from = &from;
    f.to = &to;
    return decode->fork(session, call, &f);
  }
  grpo_status assign(std::int64_t slot, std::int32_t max_new = 3) {
    const std::int32_t stop[] = {0};
    grpo_sampling sampling{};
    sampling.struct_size = sizeof sampling;
    sampling.temperature = 1;
    sampling.max_new = max_new;
    sampling.n_stop = 1;
    sampling.stop = stop;
    const grpo_sampling* list[] = {&sampling};
    const std::uint64_t key = 1;
    grpo_decode_assign a{};
    a.struct_size = sizeof a;
    a.n = 1;
    a.slot = &slot;
    a.key = &key;
    a.sampling = list;
    return decode->assign(session, call, &a);
  }
  grpo_status step(std::int64_t slot, std::int64_t room = 3, const std::int32_t* force = nullptr) {
    grpo_decode_step d{};
    d.struct_size = sizeof d;
    d.n = 1;
    d.room = room;
    d.slot = &slot;
    d.force = force;
    d.token = token;
    d.count = &count;
    d.ended = &ended;
    d.logprob = logprob;
    return decode->step(session, call, &d);
  }
  void release(std::int64_t slot) { decode->release(session, 1, &slot); }
  // All of it, once: two slots from one prompt, to their end.
  void live() {
    if (started != GRPO_STATUS_OK) return;
    decode->free_tokens(session);
    prefill(0);
    fork(0, 1);
    for (const std::int64_t slot : {0, 1}) {
      const std::int32_t force = 2;
      assign(slot);
      if (step(slot, 1, &force) == GRPO_STATUS_OK && !ended) step(slot, 3);
    }
    for (const std::int64_t slot : {0, 1}) release(slot);
    decode->free_tokens(session);
  }
  const grpo_decode* decode;
  void* session = nullptr;
  grpo_status started;
  std::int32_t token[8] = {}, count = 0, ended = 0;
  float logprob[8] = {};
};

Case by_caller(const std::string& rule, const std::function<void(DrivenSession&)>& run) {
  return {rule, true, [run](Said& said) {
            DrivenSession session(said, "");
            run(session);
          }};
}

}  // namespace

std::vector<Case> decode_cases() {
  std::vector<Case> cases;
  for (const std::string rule : {"decode.free_tokens", "decode.cache.leaked", "decode.step.force", "decode.step.token",
                                 "decode.step.count", "decode.step.ended", "decode.step.limit", "decode.step.logprob"})
    cases.push_back({rule, false, [rule](Said& said) { DrivenSession(said, rule).live(); }});
  cases.push_back(
      by_caller("decode.arguments", [](DrivenSession& s) { EXPECT_EQ(s.prefill(4), GRPO_STATUS_INVALID); }));
  cases.push_back(by_caller("decode.slot.empty", [](DrivenSession& s) { EXPECT_EQ(s.step(2), GRPO_STATUS_INVALID); }));
  cases.push_back(by_caller("decode.slot.released", [](DrivenSession& s) {
    s.prefill(0);
    s.release(0);
    s.release(0);
  }));
  cases.push_back(by_caller("decode.slot.used", [](DrivenSession& s) {
    s.prefill(0);
    s.prefill(1);
    EXPECT_EQ(s.fork(0, 1), GRPO_STATUS_INVALID);
    s.release(0);
    s.release(1);
  }));
  cases.push_back(by_caller("decode.slot.unassigned", [](DrivenSession& s) {
    s.prefill(0);
    EXPECT_EQ(s.step(0), GRPO_STATUS_INVALID);
    s.release(0);
  }));
  cases.push_back(by_caller("decode.slot.ended", [](DrivenSession& s) {
    s.prefill(0);
    s.assign(0, 1);
    EXPECT_EQ(s.step(0), GRPO_STATUS_OK);
    EXPECT_EQ(s.step(0), GRPO_STATUS_INVALID);
    s.release(0);
  }));
  return cases;
}

TEST(CheckedDecoder, SaysNothingOfASoundOne) {
  Said said;
  {
    DrivenSession session(said, "");
    session.live();
    EXPECT_EQ(session.count, 2) << "results did not come through";
    EXPECT_EQ(session.ended, GRPO_FINISH_LENGTH);
    EXPECT_EQ(session.token[0], 1);
  }
  EXPECT_EQ(said.text(), "");
}

}  // namespace grpo::plugins
