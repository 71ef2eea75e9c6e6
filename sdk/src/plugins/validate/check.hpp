// check.hpp: what a check is, and what it is given. Everything here runs in the child process.
//
// A check is a function that returns when the rule is kept, throws Failed when it is broken, Skipped when it does not
// apply. It may crash or hang with the plugin: the parent sees to that.
#ifndef GRPO_VALIDATE_CHECK_HPP
#define GRPO_VALIDATE_CHECK_HPP

#include <grpo/plugin.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "grpo/sdk/plugins/registry.hpp"

namespace grpo::plugins::conformance {

struct Failed {
  std::string why, way_out;
};
struct Skipped {
  std::string why;
};
// Throws Failed unless good.
inline void need(bool good, const std::string& why, const std::string& way_out) {
  if (!good) throw Failed{why, way_out};
}

// The plugin, and the component of it that is checked.
class Subject {
 public:
  // interface_id, name: empty for checks of the library alone.
  Subject(std::string path, std::string interface_id, std::string name, nlohmann::json options, bool quick);

  const std::string& path() const { return path_; }
  const Manifest& manifest();                 // reads the file the first time; throws Failed
  const ComponentManifest& component();       // of the manifest; throws Failed
  std::shared_ptr<const Component> loaded();  // loads the library the first time; throws Failed
  const grpo_table* table() { return loaded()->table; }
  template <class T>
  const T* table_as() {
    return reinterpret_cast<const T*>(table());
  }
  const nlohmann::json& options() const { return options_; }  // as the user gave them
  bool quick() const { return quick_; }
  int times(int full, int less) const { return quick_ ? less : full; }

  // What is going on, for the message if this process dies of it: "score of 7 samples".
  void at(const std::string& what) const;
  std::string note;  // of a check that passes

 private:
  std::string path_, interface_id_, name_;
  nlohmann::json options_;
  bool quick_;
  std::unique_ptr<Manifest> manifest_;
  std::unique_ptr<Registry> registry_;
  std::shared_ptr<const Component> loaded_;
};

struct Check {
  const char* id;    // "reward.split"
  const char* kind;  // "library", "component", "reward", "sampler", "model", "optimizer"
  const char* what;
  void (*run)(Subject&);
};

// In the order in which they run.
std::span<const Check> library_checks();
std::span<const Check> component_checks();
std::span<const Check> reward_checks();
std::span<const Check> sampler_checks();
std::span<const Check> model_checks();
std::span<const Check> optimizer_checks();
std::vector<Check> all_checks();

// Writes a line for the parent to its descriptor. [async-signal-safe] but for the caller's making of the text.
void tell_parent(const std::string& line);

}  // namespace grpo::plugins::conformance

#endif
