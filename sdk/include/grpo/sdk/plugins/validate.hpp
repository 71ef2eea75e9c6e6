// validate.hpp: does a plugin keep the contract? The conformance suite, run out of process.
//
// Main idea. Each check runs in a child process (grpo-plugin-check), so a plugin that crashes, hangs or ends the
// process fails one check and the rest goes on. A check passes, fails with a reason and a way out, or is skipped with a
// reason: because the plugin does not offer what it is about (flags, capability bits), or says in its manifest that it
// does not keep the rule:
//
//     "components": [{"interface": "grpo.reward/1", "name": "judge",
//                     "quirks": {"reward.determinism": "the judge is a sampled language model"}, ...}]
//
//     Validation v = validate("math.so", {});
//     std::cout << table_of(v);
//     return v.passed() ? 0 : 1;
//
// The checks are listed in docs/validate.md; `validation_checks()` gives the same list.
#ifndef GRPO_SDK_PLUGINS_VALIDATE_HPP
#define GRPO_SDK_PLUGINS_VALIDATE_HPP

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace grpo::plugins {

struct ValidationCheck {
  std::string id;    // "reward.split"
  std::string kind;  // of plugin that it is about: "library" and "component" are about all
  std::string what;  // one line: the rule
};

enum class Verdict { pass, fail, skipped };
const char* verdict_name(Verdict verdict);  // "pass", "fail", "skipped"

struct ValidationResult {
  std::string component;  // its name; empty: the check is about the library
  std::string check;      // id
  std::string what;       // the rule
  Verdict verdict = Verdict::skipped;
  std::string why;      // fail, skipped: the reason; pass: what there is to say, mostly nothing
  std::string way_out;  // fail: what to do
  double seconds = 0;
};

struct Validation {
  std::string path, plugin, version;  // of the library; the last two empty if it cannot be read
  std::vector<ValidationResult> results;
  int count(Verdict verdict) const;
  bool passed() const { return count(Verdict::fail) == 0; }
};

struct ValidateSettings {
  std::string component = {};          // only this one; empty: all
  std::string options = {};            // for open, a JSON object as text; empty: the defaults of the manifest
  std::vector<std::string> only = {};  // ids, or the first parts of ids: "reward", "reward.split"
  double timeout_seconds = 60;         // for each check
  bool quick = false;                  // fewer repetitions
  std::string helper = {};             // grpo-plugin-check; empty: beside this program, then where it is installed
  std::function<void(const ValidationResult&)> on_result = {};  // as they come
};

// All checks of the suite, in the order in which they run.
std::vector<ValidationCheck> validation_checks();

// Throws grpo::Error: no such file or component, options that are not a JSON object, an id in `only` that no check has,
// the helper is not there. What the plugin does wrong is in the results, a file that is no plugin too.
Validation validate(const std::string& path, const ValidateSettings& settings = {});

// One line a check, and a last one with the counts; for people.
std::string table_of(const Validation& validation);
// {file, plugin, version, passed, counts: {pass, fail, skipped}, checks: [{component, check, what, result, why,
// way_out, seconds}]}
nlohmann::json json_of(const Validation& validation);

}  // namespace grpo::plugins

#endif
