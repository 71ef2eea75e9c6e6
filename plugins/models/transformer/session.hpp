// session.hpp: a decode session: slots, their tokens, the blocks of cache they share. Knows no LibTorch.
#ifndef GRPO_TRANSFORMER_SESSION_HPP
#define GRPO_TRANSFORMER_SESSION_HPP

#include <grpo/decode.h>

#include <functional>
#include <memory>
#include <vector>

#include "engine.hpp"
#include "record.hpp"
#include "sampling.hpp"

namespace grpo::transformer {

// Blocks of cache with a count of the slots that hold each. A block with several holders is full and never written.
class BlockPool {
 public:
  explicit BlockPool(std::int64_t blocks);
  std::int64_t free() const { return static_cast<std::int64_t>(free_.size()); }
  std::int32_t take();
  void hold(std::int32_t block) { ++holders_[static_cast<std::size_t>(block)]; }
  void let_go(std::int32_t block);

 private:
  std::vector<std::int32_t> free_, holders_;
};

class Session {
 public:
  // How many blocks of cache a session needs; more than tokens / block_tokens, because the last block of each slot, and
  // what forks copy of theirs, is partly empty.
  static std::int64_t blocks_for(const grpo_decode_session& wanted);

  // record: null if the engine cannot record.
  Session(const Config& config, const grpo_decode_session& wanted, std::unique_ptr<Engine> engine, Record* record);

  std::int64_t free_tokens() const;
  void prefill(const grpo_decode_prefill& a, const std::function<void()>& stop);
  void fork(const grpo_decode_fork& a);
  void assign(const grpo_decode_assign& a);
  void step(const grpo_decode_step& a, const std::function<void()>& stop);
  void release(std::int64_t n, const std::int64_t* slot);

 private:
  struct Slot {
    std::vector<std::int32_t> token;          // the last one is pending: its keys and values are not in the cache yet
    std::vector<std::int32_t> block;          // enough for all tokens, the pending one too
    std::int32_t recorded = Record::unknown;  // the last token that is not pending
    std::uint64_t epoch = 0;                  // of the record
    bool assigned = false;
    std::uint64_t key = 0;
    std::int64_t first_new = 0;  // length when it was assigned
    Sampling sampling;
    std::int64_t length() const { return static_cast<std::int64_t>(token.size()); }
  };
  Slot& slot_at(std::int64_t index, const char* what);
  void require_distinct(const std::int64_t* slots, std::int64_t n, const char* what);
  void append(Slot& slot, std::int32_t token);
  void add_row(Slot& slot, std::int64_t position);
  void run_rows(bool slots_stay);
  void step_ahead(const grpo_decode_step& a, const std::function<void()>& stop);
  void cut_blocks(Slot& slot);
  void choose_rows(const grpo_decode_step& a, std::int64_t first, std::int64_t n, bool first_token);

  const Config& config_;
  std::int64_t tokens_;
  std::unique_ptr<Engine> engine_;
  BlockPool pool_;
  std::vector<Slot> slots_;
  std::vector<char> used_;  // [slots] scratch of require_distinct
  Record* record_;
  std::vector<EngineRow> rows_;  // of the next pass
  std::vector<Slot*> row_slot_;  // their slots
  std::vector<AheadRow> ahead_;
  std::vector<std::int64_t> live_;  // rows of the step that have not ended
  std::vector<Chooser> choosers_;   // one a thread
  std::vector<Choice> choices_;     // of the rows of logits at hand
};

}  // namespace grpo::transformer

#endif
