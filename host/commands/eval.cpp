// eval: held-out accuracy of a model or checkpoint.
#include <fmt/format.h>

#include "commands.hpp"
#include "grpo/sdk/error.hpp"
#include "grpo/sdk/report/console.hpp"
#include "grpo/sdk/train/evaluate.hpp"

namespace grpo::host {
namespace {

int evaluate(const RunArguments& a) {
  auto config = a.load_config();
  if (config.evaluation.path.empty())
    throw Error(config.where("evaluation.path") + ": not given; name a JSONL file of held-out prompts");
  train::Session session(config, a.plugin_places(), {.sampler = true, .rewards = true});
  train::Evaluator evaluator(session);
  auto scorer = session.make_scorer({});
  report::Console console(progress_of(config));
  const auto metrics = evaluator.run(*scorer, &console);
  for (const auto& [name, value] : metrics) console.line(fmt::format("{:<36} {:.6g}", name, value));
  return 0;
}

}  // namespace

void add_eval(Command program) {
  Command sub = program.command("eval", "Held-out accuracy by evaluation.* of the configuration");
  auto a = std::make_shared<RunArguments>();
  a->add_plugins(sub);
  a->add_config(sub);
  sub.action([a] { return evaluate(*a); });
}

}  // namespace grpo::host
