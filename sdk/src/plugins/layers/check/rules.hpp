// rules.hpp: the rules by name: rule::reward_nan.
#ifndef GRPO_PLUGINS_CHECK_RULES_HPP
#define GRPO_PLUGINS_CHECK_RULES_HPP

#include "grpo/sdk/plugins/checked.hpp"

namespace grpo::plugins::check::rule {

#define RULE(name, id, severity, meaning, way_out) extern const Rule name;
#include "rules.def"
#undef RULE

}  // namespace grpo::plugins::check::rule

#endif
