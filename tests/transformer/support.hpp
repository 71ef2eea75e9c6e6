// support.hpp: the smallest host that can use the plugin: dlopen, the C tables, a call that remembers its error.
#ifndef GRPO_TESTS_TRANSFORMER_SUPPORT_HPP
#define GRPO_TESTS_TRANSFORMER_SUPPORT_HPP

#include <grpo/decode.h>
#include <grpo/host.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <span>
#include <string>
#include <vector>

namespace grpo::test {

// A grpo_call: keeps the error's text and the metrics; cancels on demand.
class Call {
 public:
  Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  operator const grpo_call*() const { return &call_; }
  std::string error;
  int cancel_after = -1;  // asked this many times, cancelled() says yes
  mutable std::map<std::string, double> metrics;

 private:
  grpo_call call_{};
  grpo_metrics metrics_{};
};

// Branches of tokens with their parents, and what is scored.
struct Batch {
  std::vector<std::int32_t> token;
  std::vector<std::int64_t> node_start{0}, parent;
  std::vector<std::int64_t> target_at;
  std::vector<std::int32_t> target_token;
  double temperature = 1;

  std::int64_t add(std::int64_t parent_node, const std::vector<std::int32_t>& tokens);  // the new node
  void score(std::int64_t at, std::int32_t id) {
    target_at.push_back(at);
    target_token.push_back(id);
  }
  // A root whose every next token is scored.
  void add_scored(const std::vector<std::int32_t>& tokens);
};

struct Scores {
  std::vector<float> logprob, entropy;
  std::uint64_t ticket = 0;
  std::map<std::string, double> metrics;
};

// One model. Throws std::runtime_error with "status: text" when a call fails.
class Model {
 public:
  explicit Model(const nlohmann::json& options);
  ~Model();
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  Scores forward(const Batch& batch, std::uint32_t flags = 0);  // GRPO_FORWARD_*; true is TRAIN
  void backward(std::uint64_t ticket, const std::vector<float>& dlogprob, const std::vector<float>& dentropy = {});
  void zero_grad();
  void commit(std::int64_t version = 1);
  std::map<std::string, std::vector<float>> gradients();
  std::map<std::string, std::vector<float>> values();

  const grpo_model_info& info() const { return *table_->describe(handle_); }
  const grpo_model& table() const { return *table_; }
  const grpo_decode& decode() const { return *static_cast<const grpo_decode*>(table_->query(handle_, GRPO_DECODE_ID)); }
  void* handle() const { return handle_; }
  std::span<const grpo_parameter* const> parameters();

 private:
  std::map<std::string, std::vector<float>> read(bool gradient);
  const grpo_model* table_;
  Call open_;  // services last as long as the handle
  void* handle_ = nullptr;
};

// A decode session of a model.
class Session {
 public:
  Session(Model& model, std::int64_t slots, std::int64_t tokens);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void prefill(const std::vector<std::int64_t>& slots, const std::vector<std::vector<std::int32_t>>& tokens,
               std::uint32_t flags = 0);
  void fork(std::int64_t from, const std::vector<std::int64_t>& to);
  void assign(const std::vector<std::int64_t>& slots, const std::vector<std::uint64_t>& keys,
              const grpo_sampling& sampling);
  void release(const std::vector<std::int64_t>& slots);
  std::int64_t free_tokens() const { return table_.free_tokens(handle_); }
  void* handle() const { return handle_; }
  std::span<const grpo_parameter* const> parameters();

  struct Row {
    std::vector<std::int32_t> token;
    std::vector<float> logprob, logprob_sampled;
    std::int32_t ended = 0;
    std::vector<float> logits;
  };
  std::vector<Row> step(const std::vector<std::int64_t>& slots, std::int64_t room,
                        const std::vector<std::int32_t>& force = {}, std::uint32_t flags = 0, bool logits = false);
  // Steps until all have ended, `room` tokens at a time.
  std::vector<Row> run(std::vector<std::int64_t> slots, std::int64_t room);

 private:
  const grpo_decode& table_;
  std::int64_t vocabulary_;
  void* handle_ = nullptr;
};

grpo_sampling sampling(double temperature, std::int32_t max_new);  // everything else off

// What open says about a bad model; empty if it opens.
std::string open_error(const nlohmann::json& options);

void check(grpo_status status, const Call& call);  // throws "status: text" unless OK

std::vector<std::int32_t> random_tokens(std::mt19937& random, std::size_t n);  // of the tiny models

std::filesystem::path models();          // the folder of tiny models
std::vector<std::string> model_names();  // of tiny models
nlohmann::json golden(const std::string& name);

}  // namespace grpo::test

#endif
