// opened.hpp: a handle of the component, opened and closed as the contract says; and attempts to open that may fail.
#ifndef GRPO_VALIDATE_OPENED_HPP
#define GRPO_VALIDATE_OPENED_HPP

#include <grpo/base.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "caller.hpp"
#include "check.hpp"
#include "grpo/sdk/plugins/options.hpp"

namespace grpo::plugins::conformance {

using Services = std::map<std::string, const void*>;

// One attempt to open, with everything it was given out of reach once it is over.
class Attempt {
 public:
  struct Settings {
    Fields fields = Fields::plain;
    bool no_memory = false, cancelled = false;
    Services services = {};
    std::string what = "open";  // for the message if it crashes
  };
  // Throws grpo::Error if the options do not fit the schema: the host refuses them.
  Attempt(Subject& subject, const nlohmann::json& options, const Settings& settings);
  ~Attempt();  // closes, if it was opened; never after a failure
  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;

  bool good() const { return status_ == GRPO_STATUS_OK; }
  grpo_status status() const { return status_; }
  std::string error() const { return caller_.error(); }
  void* handle() const { return handle_; }
  const grpo_table* table() const { return table_; }

 private:
  const grpo_table* table_;
  Options options_;  // texts of it are the plugin's until close
  Caller caller_;
  Struct<grpo_options> passed_;
  void* handle_ = nullptr;
  grpo_status status_ = GRPO_STATUS_FAILED;
};

// A handle with the user's options. Throws Failed unless open goes well.
class Opened : public Attempt {
 public:
  explicit Opened(Subject& subject, const Settings& settings = {});
  template <class T>
  const T* table_as() const {
    return reinterpret_cast<const T*>(table());
  }
};

// How hosts of now and later pass their structs. One that was built with headers later than these may know the fields
// behind, so they are zero for it.
std::vector<Fields> later_hosts(Subject& subject);

// What a process uses.
struct Usage {
  std::size_t heap = 0;      // bytes given out by malloc
  std::size_t resident = 0;  // bytes of anonymous memory
  std::size_t mapped = 0;    // bytes of address space
  int threads = 0, descriptors = 0;
};
Usage usage();

// Runs body some times, then so many times more, and throws Failed if what the process uses grew with it. what:
// "opening and closing". Stops early when it takes long; returns how often it ran.
int need_no_growth(Subject& subject, int times, const std::string& what, const std::function<void()>& body);

}  // namespace grpo::plugins::conformance

#endif
