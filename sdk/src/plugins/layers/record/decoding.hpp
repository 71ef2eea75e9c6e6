// decoding.hpp: recorded calls of grpo.decode/1, made again on a model's decoder.
#ifndef GRPO_PLUGINS_RECORD_DECODING_HPP
#define GRPO_PLUGINS_RECORD_DECODING_HPP

#include <map>

#include "decode.hpp"
#include "replaying.hpp"

namespace grpo::plugins::record {

// A step as it is given to a decoder: its arrays, of the recorded call's size.
class StepView {
 public:
  StepView(const Unpack& a, std::int64_t vocabulary);
  const grpo_decode_step* get() const { return &step_; }

 private:
  std::vector<std::int64_t> slot_;
  std::vector<std::int32_t> force_, token_, count_, ended_;
  std::vector<float> logprob_, sampled_, logits_;
  grpo_decode_step step_{};
};

class DecodeReplay {
 public:
  DecodeReplay(const grpo_decode* table, void* model, std::int64_t vocabulary)
      : table_(table), model_(model), vocabulary_(vocabulary) {}
  ~DecodeReplay();
  DecodeReplay(const DecodeReplay&) = delete;
  DecodeReplay& operator=(const DecodeReplay&) = delete;

  // Makes the call; what it gave goes into result. Throws grpo::Error for a damaged recording.
  grpo_status run(const wire::Envelope& message, const grpo_call* call, ValueList& result);

 private:
  void* session(const Unpack& a);
  const grpo_decode* table_;
  void* model_;
  std::int64_t vocabulary_, opened_ = 0;
  std::map<std::int64_t, void*> sessions_;
};

// Lists of values, as results are: names in order, numbers by tolerance.
void compare_values(Comparison& compare, const ValueList& expected, const ValueList& got);

}  // namespace grpo::plugins::record

#endif
