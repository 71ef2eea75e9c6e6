// model_bench.hpp: a model under check, its calls in arrays that notice misuse, and a session of its decoder.
#ifndef GRPO_VALIDATE_MODEL_BENCH_HPP
#define GRPO_VALIDATE_MODEL_BENCH_HPP

#include <grpo/decode.h>
#include <grpo/model.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "grpo/sdk/plugins/forest.hpp"
#include "opened.hpp"

namespace grpo::plugins::conformance {

using Tokens = std::vector<std::int32_t>;

struct Scores {
  std::vector<float> logprob, entropy;
  std::uint64_t ticket = 0;
};

// A stream of weights, kept.
struct Weights {
  struct One {
    std::vector<std::int64_t> shape;
    std::uint8_t type, bits;
    std::vector<char> bytes;
  };
  std::map<std::string, One> tensors;
};

class ModelBench {
 public:
  explicit ModelBench(Subject& subject, Fields fields = Fields::plain);
  ModelBench(const ModelBench&) = delete;
  ModelBench& operator=(const ModelBench&) = delete;

  const grpo_model_info& info() const { return *info_; }
  bool can(std::uint32_t flag) const { return (info_->flags & flag) != 0; }
  void need_training() const;  // skips unless it can be trained
  // Ids that differ from each other, the same for the same seed.
  Tokens tokens(std::uint64_t seed, std::size_t n) const;
  std::size_t length(std::size_t wanted) const;  // what its positions leave of it

  // Throws Failed unless it goes well.
  Scores forward(const Forest& forest, double temperature = 1, bool entropy = false, bool train = false);
  grpo_status try_forward(Caller& caller, const Forest& forest, double temperature, Scores& out, bool entropy = false,
                          bool train = false);
  grpo_status try_forward(Caller& caller, const grpo_forest& forest, const std::vector<std::int64_t>& at,
                          const Tokens& target, double temperature, Scores& out, bool entropy, bool train);
  void backward(std::uint64_t ticket, const std::vector<float>& dlogprob, const std::vector<float>& dentropy = {});
  void zero_grad();
  void commit(std::int64_t version);
  std::vector<const grpo_parameter*> parameters() const;
  Weights export_weights();
  grpo_status import_weights(Caller& caller, std::int64_t version, const Weights& weights);

  const grpo_decode* decode() const { return decode_; }
  void need_decode() const;  // skips unless offered
  void* handle() const { return opened_.handle(); }
  Subject& subject() { return subject_; }
  Fields fields() const { return fields_; }

  const grpo_model* table;

 private:
  Subject& subject_;
  Fields fields_;
  Opened opened_;
  const grpo_model_info* info_ = nullptr;
  const grpo_decode* decode_ = nullptr;
};

// The fp32 elements of a tensor in host memory; null if it is none of that kind.
float* floats_of(const grpo_tensor* tensor);
std::int64_t elements_of(const grpo_tensor* tensor);

// A session of the decoder.
class SessionBench {
 public:
  struct Row {
    Tokens tokens;
    std::vector<float> logprob, sampled, logits;
    std::int32_t ended = 0;
  };
  SessionBench(ModelBench& model, std::int64_t slots, std::int64_t tokens);
  ~SessionBench();
  SessionBench(const SessionBench&) = delete;
  SessionBench& operator=(const SessionBench&) = delete;

  void prefill(std::int64_t slot, const Tokens& tokens);
  void prefill(const std::vector<std::int64_t>& slots, const std::vector<Tokens>& tokens);
  void fork(std::int64_t from, const std::vector<std::int64_t>& to);
  void assign(std::int64_t slot, std::uint64_t key, const grpo_sampling& sampling);
  std::vector<Row> step(const std::vector<std::int64_t>& slots, std::int64_t room, bool logits = false,
                        const Tokens& force = {}, std::uint32_t flags = 0);
  std::vector<Row> run(std::vector<std::int64_t> slots, std::int64_t room);  // until all have ended
  void release(const std::vector<std::int64_t>& slots);
  std::int64_t free_tokens() const;

 private:
  void need_ok(grpo_status status, const Caller& call, const char* function) const;
  ModelBench& model_;
  const grpo_decode* table_;
  void* handle_ = nullptr;
};

grpo_sampling plan(double temperature, std::int32_t max_new);

}  // namespace grpo::plugins::conformance

#endif
