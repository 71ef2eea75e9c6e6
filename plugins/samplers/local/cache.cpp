#include "cache.hpp"

#include "failure.hpp"

namespace local {
namespace {

// A call that keeps the text of a failure to itself and passes all else on. For the host the first text of a call
// stays, so a question that may be answered with no would spoil the text of a later error.
struct question {
  grpo_call call{};
  const grpo_call* asked;
  std::string text;

  explicit question(const grpo_call* on) : asked(on) {
    call.struct_size = sizeof call;
    call.host = on->host;
    call.deadline_ns = on->deadline_ns;
    call.cancelled = [](const grpo_call* c) { return of(c)->asked->cancelled(of(c)->asked); };
    call.alloc = [](const grpo_call* c, int64_t size) { return of(c)->asked->alloc(of(c)->asked, size); };
    call.progress = [](const grpo_call* c, double done, double total) {
      of(c)->asked->progress(of(c)->asked, done, total);
    };
    call.service = [](const grpo_call* c, const char* id) { return of(c)->asked->service(of(c)->asked, id); };
    call.fail = [](const grpo_call* c, grpo_status status, const char* text, int64_t size) {
      auto* self = const_cast<question*>(of(c));  // the call is const to those who get it, not to its maker
      if (self->text.empty()) self->text.assign(text, static_cast<std::size_t>(size));
      return status;
    };
  }
  question(const question&) = delete;
  question& operator=(const question&) = delete;

 private:
  static const question* of(const grpo_call* c) { return reinterpret_cast<const question*>(c); }  // its first member
};

}  // namespace

grpo_status cache::open(const grpo_call* call, int64_t slots, int64_t tokens, std::string& why) {
  close();
  question ask(call);
  grpo_decode_session wanted{};
  wanted.struct_size = sizeof wanted;
  wanted.slots = slots;
  wanted.tokens = tokens;
  void* session = nullptr;
  const grpo_status status = table_->session_open(model_, &ask.call, &wanted, &session);
  why = ask.text;
  if (status == GRPO_STATUS_NO_MEMORY) return status;
  if (status != GRPO_STATUS_OK) throw failure{status, "sampler local: the model opened no decode session: " + why};
  session_ = session;
  tokens_ = tokens;
  used_.assign(static_cast<std::size_t>(slots), 0);
  free_.clear();
  free_.reserve(static_cast<std::size_t>(slots));
  for (int64_t slot = slots; slot-- > 0;) free_.push_back(slot);
  return GRPO_STATUS_OK;
}

void cache::close() {
  if (!session_) return;
  release_all();
  table_->session_close(session_);
  session_ = nullptr;
  tokens_ = 0;
}

int64_t cache::take_slot() {
  const int64_t slot = free_.back();
  free_.pop_back();
  used_[static_cast<std::size_t>(slot)] = 1;
  return slot;
}

void cache::release(const std::vector<int64_t>& slots) {
  if (slots.empty()) return;
  table_->release(session_, static_cast<int64_t>(slots.size()), slots.data());
  for (const int64_t slot : slots) {
    used_[static_cast<std::size_t>(slot)] = 0;
    free_.push_back(slot);  // within what open reserved
  }
}

void cache::release_all() {
  for (std::size_t slot = 0; slot < used_.size(); ++slot) {
    if (!used_[slot]) continue;
    const auto id = static_cast<int64_t>(slot);
    table_->release(session_, 1, &id);
    used_[slot] = 0;
    free_.push_back(id);
  }
}

void cache::prefill(const grpo_call* call, const grpo_decode_prefill& a) { need(table_->prefill(session_, call, &a)); }
void cache::fork(const grpo_call* call, const grpo_decode_fork& a) { need(table_->fork(session_, call, &a)); }
void cache::assign(const grpo_call* call, const grpo_decode_assign& a) { need(table_->assign(session_, call, &a)); }
void cache::step(const grpo_call* call, const grpo_decode_step& a) { need(table_->step(session_, call, &a)); }

}  // namespace local
