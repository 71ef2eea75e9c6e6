// convert.hpp: the configuration of another trainer, as one of ours.
//
// Main idea. docs/coming-from has a table a system of what stands there and where it is here; this reads the tables
// (they are compiled in) and the file, and writes what follows from both. What needs more than another name (a quotient
// of two batch sizes, a switch beside a coefficient) is a rule in rules_<system>.cpp. Whatever is not taken over is
// told in comments, with the page's reason: nothing is lost in silence.
//
//   const Conversion c = convert("gsm8k_grpo.yaml", {"train_dataset.batch_size=2"});
//   c.system;   // "AReaL 1.0"
//   c.yaml;     // "run:\n  name: gsm8k-grpo   # experiment_name\n..."; config::load takes it
#ifndef GRPO_SDK_CONFIG_CONVERT_HPP
#define GRPO_SDK_CONFIG_CONVERT_HPP

#include <filesystem>
#include <string>
#include <vector>

namespace grpo::config {

struct Conversion {
  std::string system;       // as docs/coming-from calls it
  std::string yaml;         // a whole configuration, with comments
  std::size_t taken = 0;    // options of theirs that are in it
  std::size_t open = 0;     // options that a person has to look at
  std::size_t dropped = 0;  // options that have no place here, for a reason told
};

// file: YAML or JSON (with OmegaConf's ${a.b}), a shell script with a.b=value or --name value, or a Python script with
// GRPOConfig(...). overrides: their options, a.b=value, as on their command line. system: one of systems(), or empty:
// the one whose tables know most of the options. Throws grpo::Error: the file cannot be read, nothing in it is known.
// [any thread]
Conversion convert(const std::filesystem::path& file, const std::vector<std::string>& overrides = {},
                   const std::string& system = "");

std::vector<std::string> systems();

}  // namespace grpo::config

#endif
