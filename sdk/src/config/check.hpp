// check.hpp: what keys.def cannot say about one key alone.
#ifndef GRPO_SRC_CONFIG_CHECK_HPP
#define GRPO_SRC_CONFIG_CHECK_HPP

#include <grpo/sdk/config/config.hpp>
#include <string>
#include <vector>

namespace grpo::config {

// Fills what follows from other values: run.name, run.output_dir, names of rewards.
void derive(Config& config, const std::string& file_stem);

// Appends a message for every pair of values that do not go together.
void check(const Config& config, std::vector<std::string>& mistakes);

}  // namespace grpo::config

#endif
