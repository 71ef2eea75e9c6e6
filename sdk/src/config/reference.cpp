// reference.cpp: the reference page and --help, from the table.
#include <sstream>

#include "print.hpp"
#include "table.hpp"

namespace grpo::config {
namespace {

// Inside a table's cell.
std::string cell(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == '|' ? "\\|" : std::string(1, c);
  return out;
}

std::string values_of(const Key& key) {
  const std::string constraint = key.constraint.text();
  if (!key.constraint.choices.empty()) return constraint;
  return type_name(key.type) + (constraint.empty() ? "" : ", " + constraint);
}

std::string default_of(const Section& section, const Key& key) {
  return value_text(key.type, field_of(key, section.defaults));
}

constexpr const char* opening = R"(# Configuration

<!-- Generated from sdk/include/grpo/sdk/config/keys.def: change that, then `ninja configuration_docs`. -->

A run is described by a YAML file of sections, and by `section.key=value` on the command line, which wins:

```
grpo-host train --plugins plugins --config run.yaml optimizer.learning_rate=1e-5 rewards.0.weight=2
```

```yaml
data:
  path: gsm8k/train.jsonl
  prompt_key: question
model:
  path: SmolLM2-135M-Instruct
rewards:
  - plugin: math
  - {plugin: format, weight: 0.2, options: {pattern: '\\boxed'}}
```

- An unknown key, a value of the wrong type and one out of range are errors that name file and line. All are shown at once.
- **Paths** in a file are relative to that file; on the command line, to the current directory. `~/` is the home directory.
  Environment variables are not expanded. Options of plugins that are paths (`plugins describe` says so) follow the same rules.
- `null` (or no value) leaves the default. A list of one element may be written as the element.
- On the command line a text or a path is taken as it stands; every other value is YAML: `sampler.stop='[a, b]'`,
  `model.options='{threads: 2}'`, `model.options.threads=2`.
- `rewards` is a list. `rewards.0.weight=2` and `rewards.math.weight=2` change an element, the number after the last adds one.
  `rewards: [math]` is short for `rewards: [{plugin: math}]`.
- `options` go to the plugin; `grpo-host plugins describe FILE` prints which there are.
- Other spellings, known from TRL, verl and Hugging Face, are in parentheses.
- `grpo-host config` prints the configuration in effect, with where each value came from; `grpo-host config --schema`
  prints a JSON Schema for editors.
)";

}  // namespace

std::string reference_markdown() {
  std::ostringstream out;
  out << opening;
  for (const auto& section : sections()) {
    out << "\n## " << section.name << "\n\n" << section.text << "\n\n| key | default | value | |\n|---|---|---|---|\n";
    for (const auto& key : section.keys) {
      out << "| `" << key.name << "` | `" << cell(default_of(section, key)) << "` | " << cell(values_of(key)) << " | "
          << cell(key.text);
      for (const auto& alias : key.aliases)
        out << (&alias == key.aliases.data() ? " (`" : ", `") << alias << (&alias == &key.aliases.back() ? "`)" : "`");
      out << " |\n";
    }
    for (const Section* inside : section.lists_inside())
      out << "| `" << inside->leaf() << "` | `[]` | list of mappings | " << cell(inside->text) << " |\n";
  }
  return out.str();
}

std::string key_help() {
  std::ostringstream out;
  for (const auto& section : sections()) {
    out << section.name << ": " << section.text << '\n';
    for (const auto& key : section.keys) {
      std::string name =
          "  " + section.name + (section.list ? ".N." : ".") + key.name + " = " + default_of(section, key);
      name.resize(std::max(name.size() + 2, std::size_t{46}), ' ');
      out << name << key.text << '\n';
    }
    for (const Section* inside : section.lists_inside()) {
      std::string name = "  " + inside->name + " = []";
      name.resize(std::max(name.size() + 2, std::size_t{46}), ' ');
      out << name << inside->text << '\n';
    }
  }
  return out.str();
}

}  // namespace grpo::config
