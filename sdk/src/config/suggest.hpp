// suggest.hpp: messages about names that nobody knows, with the one that was probably meant.
#ifndef GRPO_SRC_CONFIG_SUGGEST_HPP
#define GRPO_SRC_CONFIG_SUGGEST_HPP

#include <string>

#include "table.hpp"

namespace grpo::config {

// key: what stands last in a path such as trainer.total_epochs; it may be known by that name elsewhere.
std::string unknown_section(const std::string& name, const std::string& key = {});
std::string unknown_key(const Section& section, const std::string& prefix, const std::string& name);

// What follows a complaint of keys inside a key that has none: those of them that the section itself knows, as of
// verl's rollout_correction.rollout_rs. "" where there are none.
std::string not_nested(const Section& section, const std::string& prefix, const std::vector<std::string>& inside);

}  // namespace grpo::config

#endif
