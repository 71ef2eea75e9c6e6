// decode.hpp: the calls of grpo.decode/1: as values, and recorded. Models offer it, samplers drive it, so both kinds of
// recording hold it.
#ifndef GRPO_PLUGINS_RECORD_DECODE_HPP
#define GRPO_PLUGINS_RECORD_DECODE_HPP

#include <grpo/decode.h>

#include <deque>
#include <functional>

#include "recorder.hpp"
#include "values.hpp"

namespace grpo::plugins::record {

// --- structs to values
void pack(const grpo_sampling& s, ValueList& out);
void pack(const grpo_model_info& info, ValueList& out);
void pack(const grpo_decode_info& info, ValueList& out);
void pack(const grpo_decode_session& a, ValueList& out);
void pack(std::int64_t session, const grpo_decode_prefill& a, ValueList& out);
void pack(std::int64_t session, const grpo_decode_fork& a, ValueList& out);
void pack(std::int64_t session, const grpo_decode_assign& a, ValueList& out);
void pack(std::int64_t session, const grpo_decode_step& a, ValueList& out);
void pack_release(std::int64_t session, std::int64_t n, const std::int64_t* slot, ValueList& out);
// What a step left in its arrays; beyond a row's count there is nothing.
void pack_result(const grpo_decode_step& a, std::int64_t vocabulary, ValueList& out);

// --- and back. Pointers into the object.
class SamplingView {
 public:
  explicit SamplingView(const ValueList& from);
  const grpo_sampling* get() const { return &s_; }

 private:
  grpo_sampling s_{};
  std::vector<std::int32_t> stop_;
  std::vector<std::string> texts_;
  std::vector<grpo_str> stop_text_;
};

// --- recording
// Stands in front of a model's decoder.
class RecordedDecode {
 public:
  // parent: the call in which callbacks are made now, for samplers; null: these are calls of their own.
  RecordedDecode(Tape& tape, const grpo_decode* inner, void* model, std::int64_t vocabulary,
                 const std::atomic<std::uint64_t>* parent = nullptr);
  RecordedDecode(const RecordedDecode&) = delete;
  RecordedDecode& operator=(const RecordedDecode&) = delete;
  const grpo_decode* inner() const { return inner_; }

  grpo_status session_open(const grpo_call* call, const grpo_decode_session* wanted, void** session);

  // The functions that take a session; the owner adds describe and session_open, which take its handle.
  static void fill(grpo_decode& table);

 private:
  struct Session {
    RecordedDecode* of;
    void* inner;
    std::int64_t number;
  };
  template <class Run>
  static grpo_status recorded(Session& s, const char* function, const grpo_call* call, const Tape::Fill& ask,
                              const Run& run, const Tape::FillAnswer& answer = nullptr);
  std::uint64_t parent() const { return parent_ ? parent_->load() : 0; }

  Tape& tape_;
  const grpo_decode* inner_;
  void* model_;
  std::int64_t vocabulary_, sessions_ = 0;
  const std::atomic<std::uint64_t>* parent_;
};

}  // namespace grpo::plugins::record

#endif
