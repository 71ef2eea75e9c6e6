// rewards/python: a function in Python as a reward, called as EasyR1, TRL or verl would call it.
//
// It runs in child interpreters, several beside each other. A crash, an endless loop, a print, an alarm are the
// child's: docs/python-reward.md says what each of them costs.
#include <algorithm>
#include <grpo/reward.hpp>
#include <memory>
#include <string>
#include <thread>

#include "find.hpp"
#include "pool.hpp"
#include "scoring.hpp"

GRPO_MANIFEST({
  "name": "reward_python", "version": "0.1.0", "licence": "MIT",
  "components": [{"interface": "grpo.reward/1", "name": "python", "options": {
    "function": {"type": "string", "format": "path", "required": true,
      "description": "path/file.py:name, or package.module:name of an installed package; without :name compute_score"},
    "kwargs": {"type": "object", "default": {}, "description": "more keyword arguments for every call"},
    "style": {"type": "string", "default": "auto", "enum": ["auto", "easyr1", "trl", "verl"],
      "description": "whose signature it has; auto: told by the names of its parameters"},
    "conversational": {"type": "string", "default": "auto", "enum": ["auto", "always", "never"],
      "description": "style trl: prompts and completions as lists of messages; auto: where the prompt was messages"},
    "python": {"type": "string", "format": "path", "default": "",
      "description": "interpreter, or folder of a virtual environment; empty: that of VIRTUAL_ENV, else python3 in PATH"},
    "python_path": {"type": "list", "format": "path", "default": [], "description": "more folders to import from"},
    "workers": {"type": "integer", "default": 0, "minimum": 0, "maximum": 256,
      "description": "most child interpreters at once; 0: one for each core, at most 4"},
    "call_timeout": {"type": "number", "default": 0, "minimum": 0,
      "description": "seconds that one call of the function may take, a sample or a batch; 0: until the deadline of the reward"},
    "start_timeout": {"type": "number", "default": 120, "minimum": 0.1,
      "description": "seconds that importing it may take"}}}]
});

namespace {

using grpo_python::json;

json parsed(std::string_view text) { return json::parse(text); }

std::size_t worker_count(std::int64_t option) {
  if (option > 0) return static_cast<std::size_t>(option);
  return std::clamp(std::thread::hardware_concurrency(), 1u, 4u);
}

struct python {
  python(grpo::options o, grpo::host h, grpo::call call)
      : pool(std::make_unique<grpo_python::Pool>(
            grpo_python::find_python(std::string(o.text("python", ""))),
            json{{"function", o.text("function", "")},
                 {"kwargs", parsed(o.text("kwargs", "{}"))},
                 {"style", o.text("style", "auto", {"auto", "easyr1", "trl", "verl"})},
                 {"conversational", o.text("conversational", "auto", {"auto", "always", "never"})},
                 {"python_path", parsed(o.text("python_path", "[]"))}},
            worker_count(o.integer("workers", 0, 0, 256)))),
        context{*pool, h, std::string(o.text("function", "")), o.number("call_timeout", 0, 0, 1e9),
                o.number("start_timeout", 120, 0.1, 1e9)} {
    // A function that cannot be imported is told here, and not at the first step.
    auto slot = pool->take(call);
    grpo_python::await_ready(*slot.child, context, call);
    const auto& f = slot.child->function;
    h.log(GRPO_LOG_INFO, context.function + ": style " + f.style + (f.batch ? ", a batch" : ", a sample") +
                             " at a time, Python " + f.version);
  }

  void operator()(const grpo::batch& batch) const { grpo_python::score(batch, context); }

  std::unique_ptr<grpo_python::Pool> pool;
  grpo_python::Context context;
};

}  // namespace

GRPO_REWARD(python, "python");
