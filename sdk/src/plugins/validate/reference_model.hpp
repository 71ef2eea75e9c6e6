// reference_model.hpp: a model whose every number is known, for checking samplers.
//
// Main idea. The logits after a sequence are a hash of the whole sequence, so a token lost, doubled or out of place
// shows at once; and draws follow random.h, so the completion of a request is known before the sampler makes it. It
// offers grpo.model/1 and grpo.decode/1, and notes what a caller does against the contract.
#ifndef GRPO_VALIDATE_REFERENCE_MODEL_HPP
#define GRPO_VALIDATE_REFERENCE_MODEL_HPP

#include <grpo/decode.h>
#include <grpo/host.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace grpo::plugins::conformance {

class ReferenceModel {
 public:
  static constexpr int vocabulary = 32;
  static constexpr std::int64_t positions = 96;
  using Numbers = std::array<double, vocabulary>;
  using Ids = std::vector<std::int32_t>;

  ReferenceModel();
  static const grpo_model* model_table();
  static const grpo_decode* decode_table();
  const grpo_tokenizer* tokenizer() const { return &tokenizer_; }
  static std::string text_of(std::int32_t id);  // what the tokenizer says

  // After this sequence, as grpo_sampling orders it. made: tokens since assign.
  Numbers logits(const Ids& sequence) const;
  static Numbers log_softmax(const Numbers& logits, double temperature);
  Numbers distribution(const Ids& sequence, const grpo_sampling& sampling, std::int64_t made) const;

  struct Completion {
    Ids ids;
    std::int32_t finish = GRPO_FINISH_NONE;
    std::vector<float> tempered, raw, sampled;  // log-probabilities of each kind
  };
  // What a sampler must answer for sample `index` of a request.
  Completion expected(const Ids& prompt, const grpo_sampling& sampling, std::uint64_t key, std::int64_t index) const;

  // What a caller has done.
  std::string complaint;  // the first thing against the contract
  std::int64_t sessions = 0, slots_in_use = 0, steps = 0;
  std::int64_t fail_at_step = 0;                     // fails this one, counted from 1
  std::function<void(std::int64_t number)> on_step;  // when a step of this number begins
  std::uint64_t weights = 1;                         // other weights, other logits

 private:
  struct Slot {
    Ids tokens;
    std::int64_t own = 0;                               // tokens that it shares with nobody
    std::vector<std::shared_ptr<std::int64_t>> shared;  // the sizes of those that it does
    bool assigned = false, ended = false;
    std::uint64_t key = 0;
    std::size_t first = 0;  // length when it was assigned
    double temperature = 1, top_p = 0, min_p = 0, penalty = 0;
    std::int32_t top_k = 0, min_new = 0, max_new = 0;
    Ids stop;
    grpo_sampling sampling() const;
  };
  struct Session {
    ReferenceModel* model;
    std::vector<Slot> slots;
    std::int64_t tokens;
    std::int64_t free() const;
  };
  grpo_status complain(const grpo_call* call, const std::string& what);
  static grpo_status cache_full(const grpo_call* call);
  void on_thread(const char* function);
  static std::int32_t draw(const Numbers& p, double u);

  grpo_status prefill(Session& s, const grpo_call* call, const grpo_decode_prefill& a);
  grpo_status fork(Session& s, const grpo_call* call, const grpo_decode_fork& a);
  grpo_status assign(Session& s, const grpo_call* call, const grpo_decode_assign& a);
  grpo_status step(Session& s, const grpo_call* call, const grpo_decode_step& a);
  void release(Session& s, std::int64_t n, const std::int64_t* slot);
  bool is_slot(const Session& s, std::int64_t i) const {
    return i >= 0 && i < static_cast<std::int64_t>(s.slots.size());
  }

  grpo_model_info info_{};
  grpo_decode_info decode_info_{};
  grpo_tokenizer tokenizer_{};
  std::thread::id thread_;
};

}  // namespace grpo::plugins::conformance

#endif
