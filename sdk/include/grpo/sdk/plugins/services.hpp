// services.hpp: what the host offers to its plugins: grpo.log/1, grpo.metrics/1, grpo.tokenizer/1, grpo.tasks/1.
//
// Main idea. One Services object a run, no global state. Each component sees it through a view of its own, so that log
// lines and metrics carry its name. All members are optional: what is not set is not offered.
#ifndef GRPO_SDK_PLUGINS_SERVICES_HPP
#define GRPO_SDK_PLUGINS_SERVICES_HPP

#include <grpo/host.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace grpo::plugins {

// The tokenizer of the policy, as far as plugins need it. All functions: any thread.
class TokenizerService {
 public:
  virtual ~TokenizerService() = default;
  virtual std::int64_t vocabulary() const = 0;
  virtual std::int32_t bos() const = 0;  // -1: none
  virtual std::int32_t eos() const = 0;
  virtual std::int32_t pad() const = 0;
  // Adds no special tokens of its own. special: recognise special tokens in the text, write them out. The text is
  // UTF-8.
  virtual std::vector<std::int32_t> encode(std::string_view text, bool special) const = 0;
  virtual std::string decode(const std::int32_t* ids, std::int64_t n, bool special) const = 0;
};

// Threads of the host that plugins may use, so that they start none. Rewards get a pool of their own.
class TaskPool {
 public:
  explicit TaskPool(int threads);  // including the calling one: 1 starts none
  ~TaskPool();
  TaskPool(const TaskPool&) = delete;
  TaskPool& operator=(const TaskPool&) = delete;
  int threads() const;
  // Runs body over [0, n) in pieces of `grain` on this thread and others; returns when all that started are done.
  // False: stop() said so and some pieces did not run. [any thread]
  bool parallel_for(std::int64_t n, std::int64_t grain, const std::function<void(std::int64_t, std::int64_t)>& body,
                    const std::function<bool()>& stop = nullptr);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Called from any thread, one line at a time. level: GRPO_LOG_*.
using LogSink = std::function<void(std::int32_t level, const std::string& component, const std::string& line)>;

struct ServiceSettings {
  LogSink log = {};                        // null: no grpo.log/1
  std::int32_t log_level = GRPO_LOG_INFO;  // lower lines are dropped
  bool metrics = true;
  std::shared_ptr<const TokenizerService> tokenizer = {};  // null: no grpo.tokenizer/1
  std::shared_ptr<TaskPool> tasks = {};                    // null: no grpo.tasks/1
};

// The services as one component sees them.
class ComponentServices {
 public:
  virtual ~ComponentServices() = default;
  virtual const void* find(std::string_view id) const = 0;  // a table, valid as long as this object; or nullptr
};

struct Mean {
  double sum = 0;
  std::int64_t count = 0;
};

class Services {
 public:
  explicit Services(ServiceSettings settings = {});
  ~Services();
  Services(const Services&) = delete;
  Services& operator=(const Services&) = delete;

  // `name` tags log lines and metrics. The view keeps what it needs alive.
  std::shared_ptr<const ComponentServices> of(const std::string& name) const;

  // What plugins added since the last call, "plugin/<component>/<name>": sums and counts, so that ranks can be merged.
  std::map<std::string, Mean> take_metrics();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace grpo::plugins

#endif
