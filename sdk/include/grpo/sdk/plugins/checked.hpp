// checked.hpp: a component whose every call is held against the contract, on both sides.
//
// Main idea. checked(component) stands between the host and a plugin. What the plugin is given are copies in memory of
// their own, with guard bytes round every array that it fills; when it returns, the copies are compared, the results
// looked at, and the memory is taken away. So a write next to an array, a changed input, a pointer that was kept, a
// score that was left out are each seen in the call that did it, with the plugin's name, the function and the rule.
//
//     auto reward = Reward(checked(registry.load("grpo.reward/1", "math")), options);
//
// A rule that was broken is told to the sink at once. A clear violation also fails the call (for one sample of a
// reward: makes that sample an error), and the next call of the handle where the function has no status of its own;
// advice only goes to the sink. All rules, with their meaning and the way out: rules(), and docs/checks.md.
//
// Checks cost time and memory: reward batches and tokens are copied, parameters sampled. Results are the same bits.
#ifndef GRPO_SDK_PLUGINS_CHECKED_HPP
#define GRPO_SDK_PLUGINS_CHECKED_HPP

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "grpo/sdk/plugins/registry.hpp"

namespace grpo::plugins {

enum class Severity {
  violation,  // the contract is broken: the call fails
  advice      // allowed or not certain, and most likely a mistake
};

struct Rule {
  const char* id;  // "reward.score.nan": stable
  Severity severity;
  const char* meaning;  // one sentence
  const char* way_out;  // what the author does about it
};

// All of them, sorted by id. [any thread]
std::span<const Rule* const> rules();

struct Violation {
  const Rule* rule;
  std::string component, path;  // of the plugin whose contract it is
  std::string function;         // "score", "decode.step"
  std::string detail;           // "sample 3 of 8 ..."
  bool by_caller = false;       // the side that calls the plugin is at fault, not the plugin
  std::string caller;           // the checked component that made the call, if one did: a sampler that drives a model

  // "plugin 'math' (math.so): score: sample 3 of 8 is OK and has no score [reward.score.nan]: <way out>"
  std::string text() const;
};

// Called on the thread that saw it, which may be any; must not throw and must not call the component.
using ViolationSink = std::function<void(const Violation&)>;

struct CheckSettings {
  ViolationSink sink = {};  // null: a line on standard error
};

// [any thread] For a component of a kind without rules: the same component.
std::shared_ptr<const Component> checked(std::shared_ptr<const Component> inner, CheckSettings settings = {});

// What GRPO_CHECK_PLUGINS says (1 or 0); without it, whether this library was built without NDEBUG.
bool check_by_default();

}  // namespace grpo::plugins

#endif
