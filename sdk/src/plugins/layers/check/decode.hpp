// decode.hpp: a decode session behind the checks: what each slot holds.
#ifndef GRPO_PLUGINS_CHECK_DECODE_HPP
#define GRPO_PLUGINS_CHECK_DECODE_HPP

#include <cstdint>
#include <string>
#include <vector>

#include "model.hpp"

namespace grpo::plugins::check {

struct Slot {
  std::int64_t length = 0;  // tokens, the pending one counted; 0: empty
  bool doubtful = false;    // a function that was to fill it failed: it may be released
  bool assigned = false, ended = false;
  std::int64_t made = 0;  // since assign
  std::int32_t min_new = 0, max_new = 0;
  std::vector<std::int32_t> stop;
};

struct Session final : Opened {
  static constexpr Kind kind = Kind::session;
  Session(ModelHandle& m, std::int64_t n, std::int64_t t)
      : Opened(m.reporter, kind), model(m), slots(static_cast<std::size_t>(n)), tokens(t) {
    watched = 0;
  }
  bool has(std::int64_t slot) const { return slot >= 0 && slot < static_cast<std::int64_t>(slots.size()); }
  Slot& at(std::int64_t slot) { return slots[static_cast<std::size_t>(slot)]; }
  bool all_empty() const;
  // The first of a list that is out of range or occurs twice: text for people; empty: none.
  std::string list_problem(const std::int64_t* list, std::int64_t n) const;

  ModelHandle& model;
  std::vector<Slot> slots;
  const std::int64_t tokens;
  std::int64_t free_at_first = -1;
};

// What is wrong with the options, or not among `honoured` (GRPO_SAMPLING_*); empty: nothing.
std::string sampling_problem(const grpo_sampling* sampling, std::uint32_t honoured, std::int64_t vocabulary);

grpo_status checked_step(void* session, const grpo_call* call, const grpo_decode_step* step) noexcept;

}  // namespace grpo::plugins::check

#endif
