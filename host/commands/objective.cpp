// objective: the loss alone, for those who want to study it or compare it with TRL's.
#include "commands.hpp"
#include "filter.hpp"
#include "grpo/sdk/algorithm/objective_row.hpp"

namespace grpo::host {

void add_objective(Command program) {
  Command sub = program.command(
      "objective", R"(One JSON row of log-probabilities, masks, advantages and options in, {"loss","dlogp"} out)");
  sub.group(group_filters);
  sub.action(
      [] { return filter([](const Json& row) -> Json { return algorithm::objective_row(nlohmann::json(row)); }); });
}

}  // namespace grpo::host
