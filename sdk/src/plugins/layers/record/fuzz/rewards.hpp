// rewards.hpp: what is wrong with a reward's answers, and the smallest batch that shows it.
#ifndef GRPO_PLUGINS_FUZZ_REWARDS_HPP
#define GRPO_PLUGINS_FUZZ_REWARDS_HPP

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "child.hpp"
#include "generate.hpp"

namespace grpo::plugins::fuzzing {

struct Case {
  nlohmann::json options = nlohmann::json::object();
  wire::RewardBatch batch;
};

// Each batch is scored once more as it is, with its samples reversed, and in part: a score depends on its sample alone
// (of a reward that compares a group, on its group).
enum class Way { as_is, repeated, reversed, part };

// The batch in another way, and which of its samples each of the new ones is.
struct Variant {
  wire::RewardBatch batch;
  std::vector<int> from;
};
std::optional<Variant> variant(const wire::RewardBatch& batch, Way way, std::uint32_t flags);

// What a case did that it should not. kind is empty: nothing.
struct Problem {
  std::string kind, what, output;
};

// Calls of a case within a script.
struct Calls {
  std::uint64_t as_is = 0, repeated = 0, reversed = 0, part = 0;  // 0: not made
};
Calls add(Script& script, const wire::RewardBatch& batch, std::uint32_t flags, const std::string& only_for = "");
// The first problem that the answers show. flags: of the reward's table.
Problem judge(const Outcome& outcome, const Calls& calls, const wire::RewardBatch& batch, std::uint32_t flags);
// How the process ended, if it should not have.
Problem judge_end(const Outcome& outcome);

// The smallest case found for which still_does holds, which it does for `found`.
// enough: the budget is spent.
Case smaller(Case found, const nlohmann::json& least_options, const std::function<bool(const Case&)>& still_does,
             const std::function<bool()>& enough);
std::string described(const Case& c);

// A recording of the case: what replay then finds is the problem.
Script script_of(const Case& c, const wire::Component& component, const Problem& problem, const Outcome& outcome,
                 const Calls& calls, std::uint32_t flags);

}  // namespace grpo::plugins::fuzzing

#endif
