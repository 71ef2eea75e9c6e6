// config.hpp: the configuration of a run, typed, with where each value came from.
//
// Main idea. keys.def is the one table of keys; it expands here into a struct a section, and in config.cpp into parsing
// and documentation. A value comes from the defaults, then the YAML file, then the command line's section.key=value.
//
//   const Config config = config::load("run.yaml", {"optimizer.learning_rate=1e-5", "rewards.0.weight=2"});
//   config.optimizer.learning_rate;                  // 1e-5
//   config.where("optimizer.learning_rate");         // "command line: optimizer.learning_rate"
//   config.rewards[0].options.json;                  // {"key":"answer"}: for the plugin
//
// Rules of the text (docs/configuration.md tells users the same):
//   - An unknown key, a mistyped value and one out of range are errors with file:line, key and the way out.
//   - null leaves the default. A list may be written as its only element.
//   - Relative paths in a file are relative to that file, on the command line to the current directory. After load all
//     given paths are made from these bases; a path that was not given stays empty unless its description says
//     otherwise.
//   - Environment variables are not expanded.
#ifndef GRPO_SDK_CONFIG_CONFIG_HPP
#define GRPO_SDK_CONFIG_CONFIG_HPP

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace grpo::config {

// Where a value came from.
struct Origin {
  enum class Kind { built_in, derived, file, command_line };
  Kind kind = Kind::built_in;
  std::string file;  // kind file: the path as it was given
  int line = 0;      // kind file: from 1

  std::string text() const;  // "default", "derived", "run.yaml:12", "command line"
};

using Text = std::string;
using Integer = std::int64_t;
using Number = double;
using Path = std::filesystem::path;
using TextList = std::vector<std::string>;
using IntegerList = std::vector<std::int64_t>;
using PathList = std::vector<Path>;

// The free options of a plugin: its manifest says what they mean, so whoever opens it checks them.
struct Options {
  std::string json = "{}";                // one JSON object; plain YAML scalars are typed as YAML 1.2 does
  std::map<std::string, Origin> origins;  // by key; nested keys with dots, elements of lists by number: "table.0.name"
  Path base;  // what relative paths in them are relative to, except those from the command line (see origins); which
              // they are, manifests say: train::resolve_option_paths

  bool empty() const { return json == "{}"; }
};

#define SECTION(section, type, text) struct type {
#define LIST_SECTION(section, type, text) struct type {
#define NESTED_LIST_SECTION(section, name, type, text) struct type {
#define KEY(type, name, fallback, constraint, aliases, text) type name = fallback;
#define END_SECTION() \
  }                   \
  ;
#include "keys.def"
#undef SECTION
#undef LIST_SECTION
#undef NESTED_LIST_SECTION
#undef KEY
#undef END_SECTION

struct Config {
#define SECTION(section, type, text) type section;
#define LIST_SECTION(section, type, text) std::vector<type> section;
#define NESTED_LIST_SECTION(section, name, type, text) std::vector<type> section##_##name;
#define KEY(type, name, fallback, constraint, aliases, text)
#define END_SECTION()
#include "keys.def"
#undef SECTION
#undef LIST_SECTION
#undef NESTED_LIST_SECTION
#undef KEY
#undef END_SECTION

  // By full key ("optimizer.learning_rate", "rewards.0.weight", "model.options.threads"); a key that is not here has
  // its default.
  std::map<std::string, Origin> origins;

  Origin origin(std::string_view key) const;
  // For messages: "run.yaml:12: optimizer.learning_rate", "optimizer.learning_rate (default)". A reader that finds a
  // value wrong in a way that only it can see begins its text with this.
  std::string where(std::string_view key) const;
};

// A YAML text that is not a file, such as the built-in demo.
struct Source {
  std::string name;  // stands for the file in messages and origins
  std::string text;
  Path base;  // relative paths are relative to this; empty: the current directory
};

// overrides are "section.key=value": the value of a text or path key is taken literally, any other as YAML
// ("sampler.stop=[a, b]", "model.options={threads: 2}"). Elements of `rewards` by number from 0 (the number after the
// last adds one) or by name. Throws grpo::Error that lists every mistake found, one a line.
Config load(const std::optional<Path>& file, const std::vector<std::string>& overrides = {});
Config load(const Source& source, const std::vector<std::string>& overrides = {});

// A path as a user wrote it: relative to `base`, `~/` is the home directory; empty stays empty.
Path resolve_path(const Path& base, const std::string& given);

// The whole configuration, paths absolute, as YAML that load reads back to the same; with_origins adds a comment to
// every key.
std::string effective_yaml(const Config& config, bool with_origins = false);

// Generated from keys.def.
std::string reference_markdown();  // docs/configuration.md
std::string json_schema();         // JSON Schema (2020-12) for editors
std::string key_help();            // for --help: one line a key

}  // namespace grpo::config

#endif
