// sampler.hpp (host side): a sampler plugin.
//
//     Sampler sampler(registry, "local", {{"slots", 64}}, {.where = "sampler"});
//     sampler.bind(model);
//     sampler.generate(requests, [&](Completion c) { rollouts.push_back(std::move(c)); });
//
// generate returns when every request has its n_samples completions, each checked: index, ids, log-probabilities,
// finish reason. With a RequestQueue requests may be added while it runs, from any thread, also from the callback.
#ifndef GRPO_SDK_PLUGINS_SAMPLER_HPP
#define GRPO_SDK_PLUGINS_SAMPLER_HPP

#include <grpo/sampler.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "grpo/sdk/plugins/handle.hpp"
#include "grpo/sdk/plugins/model.hpp"

namespace grpo::plugins {

// grpo_sampling, owned. Defaults: plain sampling at temperature 1, nothing cut.
struct Sampling {
  double temperature = 1;  // 0: the most probable token
  double top_p = 1, min_p = 0, repetition_penalty = 1;
  std::int32_t top_k = 0, min_new = 0;
  std::int32_t max_new = 0;  // 0: until positions run out
  std::vector<std::int32_t> stop = {};
  std::vector<std::string> stop_text = {};
};

struct Request {
  std::uint64_t id = 0;   // unique among open ones
  std::uint64_t key = 0;  // sample i draws with grpo_random_key(key, i)
  std::vector<std::int32_t> prompt = {};
  std::int64_t n_samples = 1;
  std::shared_ptr<const Sampling> sampling = {};  // null: the defaults
  bool train = false;                             // GRPO_REQUEST_TRAIN
};

struct Completion {
  std::uint64_t request = 0;
  std::int64_t index = 0;
  std::vector<std::int32_t> ids = {};
  std::int32_t finish = GRPO_FINISH_NONE;
  std::int32_t logprob_kind = GRPO_LOGPROB_NONE;
  std::vector<float> logprob = {};               // [ids] or empty, by logprob_kind
  std::vector<float> logprob_sampled = {};       // [ids] or empty
  std::int64_t version = 0;                      // of the weights that gave the last token
  std::vector<std::int64_t> token_version = {};  // [ids] or empty: all `version`
};

struct RequestQueueState;

// Requests on their way to generate. [any thread]
class RequestQueue {
 public:
  RequestQueue();
  ~RequestQueue();
  void add(Request request);  // throws grpo::Error after close
  void close();               // no more will come: generate ends when all are complete
  std::int64_t waiting() const;

 private:
  friend class Sampler;
  std::unique_ptr<RequestQueueState> state_;
};

class Sampler final : public Handle {
 public:
  Sampler(Registry& registry, const std::string& name, const nlohmann::json& options,
          const OpenSettings& settings = {});
  Sampler(std::shared_ptr<const Component> component, const nlohmann::json& options, const OpenSettings& settings = {});
  ~Sampler();

  const grpo_sampler_info& info() const;
  bool binds() const { return (info().flags & GRPO_SAMPLER_BINDS) != 0; }
  bool has_own_weights() const { return (info().flags & GRPO_SAMPLER_UPDATES) != 0; }

  // Once, before generate, on the model's thread; a sampler that does not bind ignores it. The model outlives this
  // object.
  void bind(Model& model);

  // Runs on this thread; the callback too or on a thread of the sampler, one at a time. What the callback throws ends
  // generate and is thrown on. Throws grpo::Error if a sampling option is not supported (it is named), if the sampler
  // breaks its contract, and CallError if it fails.
  void generate(std::vector<Request> requests, const std::function<void(Completion)>& on_completion);
  void generate(RequestQueue& requests, const std::function<void(Completion)>& on_completion);

  void cancel(std::uint64_t request);  // [any thread] its open completions come back short, as GRPO_FINISH_CANCELLED
  void cancel_all();                   // [any thread] generate throws CallError with GRPO_STATUS_CANCELLED

  // The policy has changed. A bound sampler is told; one with weights of its own gets them.
  void update_weights(Model& model, std::int64_t version);

  void pause(std::int32_t mode);  // GRPO_PAUSE_*; beside generate, from another thread
  void resume();

 private:
  void start();
  void check_request(const Request& request) const;
  const grpo_sampler* table_ = nullptr;
  Model* model_ = nullptr;
  grpo_sampler_binding binding_{};
  Call call_, control_call_;
};

}  // namespace grpo::plugins

#endif
