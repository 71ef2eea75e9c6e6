// child.hpp: made-up calls, made by another process.
#ifndef GRPO_PLUGINS_FUZZ_CHILD_HPP
#define GRPO_PLUGINS_FUZZ_CHILD_HPP

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "grpo/sdk/plugins/fuzz.hpp"
#include "wire/wire.hpp"

namespace grpo::plugins::fuzzing {

// Calls to make, in the form of a recording; those without an answer are only made.
class Script {
 public:
  Script(const wire::Component& component, const std::string& options);
  void opens_well();  // open is answered
  // Returns the call's number. expected: null for none.
  std::uint64_t score(const wire::RewardBatch& batch, const wire::RewardResult* expected = nullptr);
  void write(const std::filesystem::path& file) const;  // throws grpo::Error

 private:
  wire::Header header_;
  std::vector<wire::Envelope> messages_;
  std::uint64_t calls_ = 0;
};

// What became of a script.
struct Outcome {
  std::map<std::uint64_t, wire::Envelope> answers;  // by the number of the call; open is 1
  std::uint64_t unanswered = 0;                     // the call that the process ended in; 0: none
  int exit_status = 0;                              // of the child; -1: a signal ended it
  int signal = 0;
  bool timed_out = false;
  std::uint32_t flags = 0;                      // of the component's table
  std::string output;                           // the end of what the plugin printed
  std::map<std::uint64_t, std::string> broken;  // rules of the contract, by call: the first of each
};

// Runs scripts, one at a time. Its files are in a folder that goes with it.
class Child {
 public:
  explicit Child(const FuzzSettings& settings);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  Outcome run(const Script& script, double timeout_seconds) const;  // throws grpo::Error if it cannot be started

 private:
  const FuzzSettings& settings_;
  std::filesystem::path folder_;
};

}  // namespace grpo::plugins::fuzzing

#endif
