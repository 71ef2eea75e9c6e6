// theirs.hpp: the options of another trainer's file, flat.
#ifndef GRPO_SRC_CONFIG_CONVERT_THEIRS_HPP
#define GRPO_SRC_CONFIG_CONVERT_THEIRS_HPP

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace grpo::config {

using json = nlohmann::ordered_json;

struct Option {
  std::string name;  // "actor.optimizer.lr"
  json value;        // null: given as nothing
};

class Theirs {
 public:
  void set(const std::string& name, json value);  // what is there already gets the new value
  const json* find(std::string_view name) const;  // null: not given, or given as nothing
  const std::vector<Option>& all() const { return options_; }
  std::vector<Option>& all() { return options_; }

 private:
  std::vector<Option> options_;
};

// By the file's ending: .sh, .py, else YAML or JSON.
Theirs read_theirs(const std::filesystem::path& file, const std::vector<std::string>& overrides);

// Of the files above, into `to`. `text` is the whole file, `name` what messages call it.
void read_yaml(const std::string& text, const std::string& name, Theirs& to);
void read_shell(const std::string& text, const std::filesystem::path& file, Theirs& to);
void read_python(const std::string& text, Theirs& to);

// "[a, 1e-6]", "True", "'text'": as YAML; what is no YAML stays a text.
json value_of(const std::string& text);

}  // namespace grpo::config

#endif
