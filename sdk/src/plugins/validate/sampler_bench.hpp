// sampler_bench.hpp: a sampler bound to the suite's own model, and a feed that checks what it delivers.
#ifndef GRPO_VALIDATE_SAMPLER_BENCH_HPP
#define GRPO_VALIDATE_SAMPLER_BENCH_HPP

#include <grpo/sampler.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "opened.hpp"
#include "reference_model.hpp"

namespace grpo::plugins::conformance {

using Ids = ReferenceModel::Ids;

// grpo_sampling, owned.
struct Plan {
  double temperature = 1, top_p = 0, min_p = 0, repetition_penalty = 0;
  std::int32_t top_k = 0, min_new = 0, max_new = 12;
  Ids stop = {};
  std::vector<std::string> stop_text = {};
};

struct Ask {
  std::uint64_t id, key;
  Ids prompt;
  std::int64_t samples = 1;
  Plan plan = {};
};

struct Got {
  Ids ids;
  std::int32_t finish = 0, kind = 0;
  std::int64_t version = 0;
  std::vector<float> logprob, sampled;
};
using Name = std::pair<std::uint64_t, std::int64_t>;  // request, sample
using Results = std::map<Name, Got>;

// The host's side of one generate.
class FeedBench {
 public:
  FeedBench(const std::vector<Ask>& asks, Fields fields, std::int64_t vocabulary);
  const grpo_feed* get() const { return feed_.get(); }
  const Results& results() const { return results_; }
  // The first thing that the sampler did against the contract; then what is missing.
  void need_sound() const;
  void need_complete() const;

  int pauses = 0;               // says AGAIN so often before each request
  std::int64_t refuse_at = -1;  // deliver fails at the completion of this number, counted from 0
  std::function<void(const Name&, std::size_t delivered)> on_deliver;

 private:
  struct Box {  // a request, out of reach once its last completion has come
    Box(const Ask& ask, Fields fields);
    Ask ask;
    std::vector<Pages> pages;
    Struct<grpo_sampling> sampling;
    Struct<grpo_request> request;
    std::int64_t open;
  };
  grpo_status next(const grpo_request** request);
  grpo_status deliver(const grpo_call* call, const grpo_completion* completion);
  void check(const grpo_completion& c);
  void complain(const std::string& why, const std::string& way_out);

  Struct<grpo_feed> feed_;
  std::deque<Box> boxes_;
  std::size_t taken_ = 0;
  int waited_ = 0;
  std::int64_t vocabulary_;
  Results results_;
  std::mutex mutex_;
  Failed complaint_;
};

class SamplerBench {
 public:
  // with_tokenizer: offers grpo.tokenizer/1, for stop texts. Throws Failed: it does not open or bind.
  explicit SamplerBench(Subject& subject, bool with_tokenizer = false, Fields fields = Fields::plain);
  ~SamplerBench();
  SamplerBench(const SamplerBench&) = delete;
  SamplerBench& operator=(const SamplerBench&) = delete;

  // All of them, complete. Throws Failed: generate fails, or something is wrong with a completion or a slot.
  Results generate(const std::vector<Ask>& asks, int pauses = 0);
  // The same, with a feed and a call of the caller's; nothing is thrown for its status.
  grpo_status run(FeedBench& feed, Caller& call);
  void need_slots_free(const std::string& when);

  const grpo_sampler_info& info() const { return *table->describe(handle()); }
  bool binds() const { return (info().flags & GRPO_SAMPLER_BINDS) != 0; }
  void* handle() const { return opened_->handle(); }
  void close() { opened_.reset(); }
  std::int64_t vocabulary() const { return binds() ? ReferenceModel::vocabulary : 0; }

  ReferenceModel model;
  const grpo_sampler* table;
  Fields fields;

 private:
  Subject& subject_;
  std::unique_ptr<Opened> opened_;
  std::unique_ptr<Struct<grpo_sampler_binding>> binding_;
};

// Skips unless the sampler is bound to a model: the suite's own model cannot be loaded into another engine.
void need_bound(const SamplerBench& bench);
// Skips unless it honours these GRPO_SAMPLING_*.
void need_sampling(const SamplerBench& bench, std::uint32_t bits, const char* what);

// Some requests that differ in everything.
std::vector<Ask> usual_asks();
ReferenceModel::Completion expected(const ReferenceModel& model, const Ask& ask, std::int64_t index);
std::string shown(const Ids& ids);

extern const char* const keys_way;  // what to do about a completion that is not that of its key
// Throws Failed if a completion of `got` differs from `expected`. when: "the second time".
void need_same(const Results& got, const Results& expected, const std::string& when);
// Throws Failed unless all completions are those that the suite's model and random.h make.
void need_expected(const SamplerBench& bench, const std::vector<Ask>& asks, const Results& got,
                   const std::string& about, const std::string& way_out);

}  // namespace grpo::plugins::conformance

#endif
