#include "session.hpp"

#include <omp.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <string>

#include "errors.hpp"

namespace grpo::transformer {

BlockPool::BlockPool(std::int64_t blocks) : holders_(static_cast<std::size_t>(blocks), 0) {
  free_.reserve(static_cast<std::size_t>(blocks));
  for (std::int64_t i = blocks; i-- > 0;) free_.push_back(static_cast<std::int32_t>(i));
}

std::int32_t BlockPool::take() {
  if (free_.empty()) throw Refusal(GRPO_STATUS_NO_MEMORY, "the cache is full");
  const auto block = free_.back();
  free_.pop_back();
  holders_[static_cast<std::size_t>(block)] = 1;
  return block;
}

void BlockPool::let_go(std::int32_t block) {
  if (--holders_[static_cast<std::size_t>(block)] == 0) free_.push_back(block);
}

std::int64_t Session::blocks_for(const grpo_decode_session& wanted) {
  require(wanted.slots > 0 && wanted.tokens > 0, "a session needs slots and tokens");
  require(wanted.slots < (1 << 24) && wanted.tokens < (std::int64_t{1} << 34), "a session of this size is a mistake");
  return (wanted.tokens + block_tokens - 1) / block_tokens + 3 * wanted.slots;
}

Session::Session(const Config& config, const grpo_decode_session& wanted, std::unique_ptr<Engine> engine,
                 Record* record)
    : config_(config),
      tokens_(wanted.tokens),
      engine_(std::move(engine)),
      pool_(blocks_for(wanted)),
      slots_(static_cast<std::size_t>(wanted.slots)),
      used_(static_cast<std::size_t>(wanted.slots), 0),
      record_(record) {
  rows_.reserve(static_cast<std::size_t>(engine_->max_rows()));
  row_slot_.reserve(static_cast<std::size_t>(engine_->max_rows()));
  const auto longest = static_cast<std::size_t>(std::min(config.max_positions, wanted.tokens + block_tokens));
  for (auto& slot : slots_) {
    slot.token.reserve(longest);
    slot.block.reserve(longest / static_cast<std::size_t>(block_tokens) + 1);
  }
  live_.reserve(slots_.size());
  choices_.resize(static_cast<std::size_t>(engine_->max_logits()));
  for (int i = 0; i < omp_get_max_threads(); ++i) choosers_.emplace_back(config.vocabulary);
}

// Appending n tokens takes at most (n + 15 slots) / 16 blocks, whichever slots they go to.
std::int64_t Session::free_tokens() const {
  const auto slots = static_cast<std::int64_t>(slots_.size());
  return std::clamp<std::int64_t>(pool_.free() * block_tokens - slots * (block_tokens - 1), 0, tokens_);
}

Session::Slot& Session::slot_at(std::int64_t index, const char* what) {
  require(index >= 0 && index < static_cast<std::int64_t>(slots_.size()),
          std::string(what) + ": slot " + std::to_string(index) + " is not one of " + std::to_string(slots_.size()));
  return slots_[static_cast<std::size_t>(index)];
}

void Session::require_distinct(const std::int64_t* slots, std::int64_t n, const char* what) {
  require(n >= 0, std::string(what) + ": n is negative");
  std::int64_t twice = -1;
  for (std::int64_t i = 0; i < n; ++i) {
    slot_at(slots[i], what);
    auto& used = used_[static_cast<std::size_t>(slots[i])];
    if (used) twice = slots[i];
    used = 1;
  }
  std::fill(used_.begin(), used_.end(), 0);
  require(twice < 0, std::string(what) + ": slot " + std::to_string(twice) + " comes twice");
}

void Session::append(Slot& slot, std::int32_t token) {
  if (static_cast<std::int64_t>(slot.block.size()) * block_tokens == slot.length()) slot.block.push_back(pool_.take());
  slot.token.push_back(token);
}

void Session::add_row(Slot& slot, std::int64_t position) {
  rows_.push_back(
      {slot.token[static_cast<std::size_t>(position)], static_cast<std::int32_t>(position), slot.block.data()});
  row_slot_.push_back(&slot);
}

// A pass over the rows added. What it computes is recorded if any of them is to be trained on; but if the slots stay as
// they are, the same rows will come again.
void Session::run_rows(bool slots_stay) {
  const auto n = static_cast<std::int64_t>(rows_.size());
  std::optional<std::int64_t> place;
  if (record_ && !slots_stay && std::any_of(row_slot_.begin(), row_slot_.end(), [this](const Slot* slot) {
        return slot->recorded != Record::unknown && slot->epoch == record_->epoch();
      }))
    place = record_->take(n);
  engine_->run(rows_.data(), n, place.value_or(-1));
  if (slots_stay) return;
  for (std::size_t r = 0; r < rows_.size(); ++r) {
    Slot& slot = *row_slot_[r];
    slot.recorded = place && slot.epoch == record_->epoch()
                        ? record_->link(slot.recorded, rows_[r].token, *place + static_cast<std::int64_t>(r))
                        : Record::unknown;
  }
}

void Session::prefill(const grpo_decode_prefill& a, const std::function<void()>& stop) {
  if (a.position) throw Refusal(GRPO_STATUS_UNSUPPORTED, "prefill: explicit positions are not offered");
  if (a.n_extras) throw Refusal(GRPO_STATUS_UNSUPPORTED, "prefill: extras are not offered");
  require_distinct(a.slot, a.n, "prefill");
  std::int64_t total = 0;
  for (std::int64_t i = 0; i < a.n; ++i) {
    const std::int64_t n = a.start[i + 1] - a.start[i];
    require(a.start[i] >= 0 && n > 0, "prefill: start[" + std::to_string(i + 1) + "] does not increase");
    for (std::int64_t t = a.start[i]; t < a.start[i + 1]; ++t)
      require(a.token[t] >= 0 && a.token[t] < config_.vocabulary,
              "prefill: token[" + std::to_string(t) + "] is " + std::to_string(a.token[t]) +
                  ", outside the vocabulary of " + std::to_string(config_.vocabulary));
    const std::int64_t length = slot_at(a.slot[i], "prefill").length() + n;
    require(length <= config_.max_positions, "prefill: slot " + std::to_string(a.slot[i]) + " would hold " +
                                                 std::to_string(length) + " tokens; the model takes " +
                                                 std::to_string(config_.max_positions));
    total += n;
  }
  if (total > free_tokens())
    throw Refusal(GRPO_STATUS_NO_MEMORY, "prefill: " + std::to_string(total) + " tokens do not fit into the " +
                                             std::to_string(free_tokens()) + " that are free");

  struct Before {
    std::size_t tokens, blocks;
    std::int32_t recorded;
  };
  std::vector<Before> before;  // of each slot, should anything go wrong
  for (std::int64_t i = 0; i < a.n; ++i) {
    auto& slot = slot_at(a.slot[i], "prefill");
    before.push_back({slot.token.size(), slot.block.size(), slot.recorded});
    if (slot.length() == 0 && record_ && (a.flags & GRPO_PREFILL_TRAIN)) {
      record_->begin_prompt();
      slot.recorded = Record::root;
      slot.epoch = record_->epoch();
    }
    for (std::int64_t t = a.start[i]; t < a.start[i + 1]; ++t) append(slot, a.token[t]);
  }
  try {
    const auto flush = [&] {
      stop();
      run_rows(false);
      rows_.clear();
      row_slot_.clear();
    };
    rows_.clear();
    row_slot_.clear();
    for (std::int64_t i = 0; i < a.n; ++i) {
      auto& slot = slot_at(a.slot[i], "prefill");
      const auto had = static_cast<std::int64_t>(before[static_cast<std::size_t>(i)].tokens);
      for (std::int64_t t = std::max<std::int64_t>(had - 1, 0); t + 1 < slot.length(); ++t) {
        add_row(slot, t);
        if (static_cast<std::int64_t>(rows_.size()) == engine_->max_rows()) flush();
      }
    }
    if (!rows_.empty()) flush();
  } catch (...) {
    for (std::int64_t i = 0; i < a.n; ++i) {
      auto& slot = slot_at(a.slot[i], "prefill");
      const auto [tokens, blocks, recorded] = before[static_cast<std::size_t>(i)];
      slot.recorded = recorded;
      slot.token.resize(tokens);
      while (slot.block.size() > blocks) {
        pool_.let_go(slot.block.back());
        slot.block.pop_back();
      }
    }
    throw;
  }
}

void Session::fork(const grpo_decode_fork& a) {
  require_distinct(a.to, a.n, "fork");
  for (std::int64_t i = 0; i < a.n; ++i) {
    require(slot_at(a.from[i], "fork").length() > 0, "fork: slot " + std::to_string(a.from[i]) + " is empty");
    require(slot_at(a.to[i], "fork").length() == 0, "fork: slot " + std::to_string(a.to[i]) + " is not empty");
  }
  if (pool_.free() < a.n) throw Refusal(GRPO_STATUS_NO_MEMORY, "fork: the cache is full");
  for (std::int64_t i = 0; i < a.n; ++i) {
    const auto& from = slot_at(a.from[i], "fork");
    auto& to = slot_at(a.to[i], "fork");
    // Blocks full of cached tokens are shared; the one after them is copied, since both sides go on writing into it.
    const std::int64_t cached = from.length() - 1, shared = cached / block_tokens;
    for (std::int64_t b = 0; b < shared; ++b) {
      pool_.hold(from.block[static_cast<std::size_t>(b)]);
      to.block.push_back(from.block[static_cast<std::size_t>(b)]);
    }
    to.block.push_back(pool_.take());
    if (cached % block_tokens != 0) engine_->copy_block(from.block[static_cast<std::size_t>(shared)], to.block.back());
    to.token.assign(from.token.begin(), from.token.end());
    to.recorded = from.recorded;
    to.epoch = from.epoch;
    to.assigned = false;
  }
}

void Session::assign(const grpo_decode_assign& a) {
  require_distinct(a.slot, a.n, "assign");
  std::vector<Sampling> read;
  for (std::int64_t i = 0; i < a.n; ++i) {
    require(a.sampling[i] != nullptr, "assign: sampling[" + std::to_string(i) + "] is null");
    read.push_back(read_sampling(*a.sampling[i]));
  }
  for (std::int64_t i = 0; i < a.n; ++i) {
    auto& slot = slot_at(a.slot[i], "assign");
    slot.assigned = true;
    slot.key = a.key[i];
    slot.first_new = slot.length();
    slot.sampling = std::move(read[static_cast<std::size_t>(i)]);
  }
}

void Session::step(const grpo_decode_step& a, const std::function<void()>& stop) {
  const bool peek = a.flags & GRPO_STEP_PEEK;
  if (a.flags & ~static_cast<std::uint32_t>(GRPO_STEP_PEEK))
    throw Refusal(GRPO_STATUS_UNSUPPORTED, "step: unknown flags");
  require(a.room >= 1, "step: room is under 1");
  require_distinct(a.slot, a.n, "step");
  for (std::int64_t i = 0; i < a.n; ++i) {
    const auto& slot = slot_at(a.slot[i], "step");
    const auto which = "step: slot " + std::to_string(a.slot[i]);
    require(slot.length() > 0, which + " is empty");
    require(slot.assigned, which + " has no assignment");
    require(peek || slot.length() < config_.max_positions, which + " is at the model's last position");
    if (a.force)
      require(a.force[i] >= -1 && a.force[i] < config_.vocabulary,
              "step: force[" + std::to_string(i) + "] is outside the vocabulary");
  }
  if (!peek && free_tokens() / a.room < a.n)
    throw Refusal(GRPO_STATUS_NO_MEMORY, "step: " + std::to_string(a.n) + " x " + std::to_string(a.room) +
                                             " tokens may not fit into the " + std::to_string(free_tokens()) +
                                             " that are free");
  live_.resize(static_cast<std::size_t>(a.n));
  for (std::int64_t i = 0; i < a.n; ++i) {
    live_[static_cast<std::size_t>(i)] = i;
    if (a.count) a.count[i] = 0;
    if (a.ended) a.ended[i] = GRPO_FINISH_NONE;
  }
  if (engine_->runs_ahead() && !peek && !a.logits) return step_ahead(a, stop);
  for (std::int64_t k = 0; k < a.room && !live_.empty(); ++k) {
    stop();
    const auto n = static_cast<std::int64_t>(live_.size());
    for (std::int64_t first = 0; first < n; first += engine_->max_rows()) {
      const std::int64_t rows = std::min(engine_->max_rows(), n - first);
      rows_.clear();
      row_slot_.clear();
      for (std::int64_t r = 0; r < rows; ++r) {
        auto& slot = slots_[static_cast<std::size_t>(a.slot[live_[static_cast<std::size_t>(first + r)]])];
        add_row(slot, slot.length() - 1);
      }
      run_rows(peek);
      choose_rows(a, first, rows, k == 0);
    }
    if (peek) return;
    live_.erase(
        std::remove_if(live_.begin(), live_.end(), [&](std::int64_t i) { return a.ended[i] != GRPO_FINISH_NONE; }),
        live_.end());
  }
}

// The engine chooses; the slots learn afterwards what it chose. Blocks for all the room are taken before, and those
// that were not needed given back.
void Session::step_ahead(const grpo_decode_step& a, const std::function<void()>& stop) {
  ahead_.clear();
  const auto slot_of = [&](std::int64_t i) -> Slot& { return slots_[static_cast<std::size_t>(a.slot[i])]; };
  try {
    for (std::int64_t i = 0; i < a.n; ++i) {
      auto& slot = slot_of(i);
      const std::int64_t n_new = slot.length() - slot.first_new;
      std::int64_t remaining = config_.max_positions - slot.length();
      if (slot.sampling.max_new > 0) remaining = std::min(remaining, slot.sampling.max_new - n_new);
      const std::int64_t end = slot.length() + std::clamp<std::int64_t>(remaining, 1, a.room);
      while (static_cast<std::int64_t>(slot.block.size()) * block_tokens < end) slot.block.push_back(pool_.take());
      ahead_.push_back({slot.token.data(), slot.length(), n_new, remaining, slot.block.data(), slot.key, &slot.sampling,
                        a.force ? a.force[i] : -1});
    }
    engine_->run_ahead(ahead_.data(), a.n, a.room, stop, {a.token, a.count, a.ended, a.logprob, a.logprob_sampled});
  } catch (...) {
    for (std::int64_t i = 0; i < a.n; ++i) {
      cut_blocks(slot_of(i));
      a.count[i] = 0;
    }
    throw;
  }
  for (std::int64_t i = 0; i < a.n; ++i) {
    auto& slot = slot_of(i);
    slot.token.insert(slot.token.end(), a.token + i * a.room, a.token + i * a.room + a.count[i]);
    slot.recorded = Record::unknown;
    cut_blocks(slot);
  }
}

// To what the slot's tokens need.
void Session::cut_blocks(Slot& slot) {
  while ((static_cast<std::int64_t>(slot.block.size()) - 1) * block_tokens >= slot.length()) {
    pool_.let_go(slot.block.back());
    slot.block.pop_back();
  }
}

// Chooses the next token of live_[first, first + n), whose rows have just been run.
void Session::choose_rows(const grpo_decode_step& a, std::int64_t first, std::int64_t n, bool first_token) {
  const bool peek = a.flags & GRPO_STEP_PEEK;
  if (peek && !a.logits) return;
  for (std::int64_t begin = 0; begin < n; begin += engine_->max_logits()) {
    const std::int64_t rows = std::min(engine_->max_logits(), n - begin);
    const float* logits = engine_->logits(begin, rows);
#pragma omp parallel for schedule(dynamic, 1) \
    num_threads(static_cast <int>(choosers_.size())) if (rows * config_.vocabulary > 16384)
    for (std::int64_t r = 0; r < rows; ++r) {
      const std::int64_t i = live_[static_cast<std::size_t>(first + begin + r)];
      const float* z = logits + r * config_.vocabulary;
      if (a.logits && first_token) std::copy_n(z, config_.vocabulary, a.logits + i * config_.vocabulary);
      if (peek) continue;
      const auto& slot = slots_[static_cast<std::size_t>(a.slot[i])];
      const Place place{z,
                        slot.token.data(),
                        slot.length(),
                        slot.length() - slot.first_new,
                        slot.key,
                        a.force && first_token ? a.force[i] : -1};
      const auto& choice = choices_[static_cast<std::size_t>(r)] =
          choosers_[static_cast<std::size_t>(omp_get_thread_num())].choose(slot.sampling, place);
      const std::int64_t at = i * a.room + a.count[i];
      a.token[at] = choice.token;
      if (a.logprob) a.logprob[at] = choice.logprob;
      if (a.logprob_sampled) a.logprob_sampled[at] = choice.logprob_sampled;
    }
    if (peek) continue;
    for (std::int64_t r = 0; r < rows; ++r) {
      const std::int64_t i = live_[static_cast<std::size_t>(first + begin + r)];
      auto& slot = slots_[static_cast<std::size_t>(a.slot[i])];
      const auto token = a.token[i * a.room + a.count[i]++];
      if (slot.recorded != Record::unknown)
        record_->score(slot.recorded, slot.sampling.temperature, choices_[static_cast<std::size_t>(r)], token);
      append(slot, token);
      const bool limit = slot.sampling.max_new > 0 && slot.length() - slot.first_new >= slot.sampling.max_new;
      a.ended[i] = slot.sampling.stops(token)                        ? GRPO_FINISH_STOP
                   : limit || slot.length() >= config_.max_positions ? GRPO_FINISH_LENGTH
                                                                     : GRPO_FINISH_NONE;
    }
  }
}

void Session::release(std::int64_t n, const std::int64_t* which) {
  for (std::int64_t i = 0; i < n; ++i) {
    if (which[i] < 0 || which[i] >= static_cast<std::int64_t>(slots_.size())) continue;
    auto& slot = slots_[static_cast<std::size_t>(which[i])];
    for (const auto block : slot.block) pool_.let_go(block);
    slot.token.clear();
    slot.block.clear();
    slot.recorded = Record::unknown;
    slot.assigned = false;
  }
}

}  // namespace grpo::transformer
