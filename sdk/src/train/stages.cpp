// Several stages in one run: each in a directory of its own, each from the last checkpoint of the one before.
#include <fmt/format.h>

#include <algorithm>

#include "grpo/sdk/error.hpp"
#include "run.hpp"

namespace grpo::train {
namespace fs = std::filesystem;
namespace {

// Supervised training has data of its own where sft.path says so.
StageSettings with_sft_data(StageSettings settings) {
  auto& c = settings.config;
  const auto use = [&](const char* own, const char* common, auto& from, auto& to) {
    if (from.empty()) return;
    to = from;
    c.origins[common] = c.origin(own);
  };
  use("sft.path", "data.path", c.sft.path, c.data.path);
  use("sft.prompt_key", "data.prompt_key", c.sft.prompt_key, c.data.prompt_key);
  return settings;
}

void check_stages(const config::Config& c) {
  const auto& stages = c.run.stages;
  for (std::size_t i = 0; i < stages.size(); ++i)
    if (std::count(stages.begin(), stages.end(), stages[i]) > 1)
      throw Error(c.where("run.stages") + ": `" + stages[i] + "` stands there twice; its directory can hold one");
}

// A stage of the chain: in a directory of its own, from `weights` if a stage came before, with a checkpoint at its end
// if one follows.
StageSettings stage_settings(const StageSettings& whole, const std::string& stage,
                             const std::optional<fs::path>& weights) {
  StageSettings s = whole;
  auto& c = s.config;
  c.run.output_dir = output_dir(whole.config) / stage;
  c.run.stages.clear();
  if (weights) {
    c.model.path = *weights;
    c.model.init = "checkpoint";
    for (const char* key : {"model.path", "model.init"}) c.origins[key].kind = config::Origin::Kind::derived;
    if (c.run.resume == "must") c.run.resume = "auto";  // the stage before may be the one that was interrupted
  }
  return s;
}

// A stage that another follows ends in a checkpoint. ended: the caller wanted no more.
void make_followed(StageSettings& s, std::vector<fs::path> later, bool& ended) {
  s.config.checkpoint.final = true;
  if (s.next)  // the end of this stage is not the end of the run
    s.next = [ask = s.next, &ended](bool more) {
      const Next next = more ? ask(true) : Next::step;
      ended = ended || next == Next::end;
      return next;
    };
  if (s.config.run.resume == "never")  // what an earlier run left in the later stages did not come from this checkpoint
    s.on_checkpoint = [tell = s.on_checkpoint, later = std::move(later)](const fs::path& path) mutable {
      for (const auto& directory : later) set_earlier_run_aside(directory);
      later.clear();
      if (tell) tell(path);
    };
}

}  // namespace

StageResult sft(const StageSettings& settings) { return sft_stage(with_sft_data(settings)); }

StageResult train(const StageSettings& settings) {
  const auto& stages = settings.config.run.stages;
  check_stages(settings.config);
  if (stages.empty()) return train_stage(settings);
  StageResult result;
  std::optional<fs::path> weights;
  bool ended = false;
  const auto directory_of = [&](std::size_t i) { return output_dir(settings.config) / stages[i]; };
  for (std::size_t i = 0; i < stages.size(); ++i) {
    const bool followed = i + 1 < stages.size();
    StageSettings stage = stage_settings(settings, stages[i], weights);
    std::vector<fs::path> later;
    for (std::size_t k = i + 1; k < stages.size(); ++k) later.push_back(directory_of(k));
    if (followed) make_followed(stage, later, ended);
    // A stage that a later one has gone on from is over, whatever its length would be now.
    const bool over =
        followed && settings.config.run.resume != "never" && find_checkpoint(directory_of(i + 1)).has_value();
    const auto done = over ? find_checkpoint(stage.config.run.output_dir) : std::nullopt;
    if (over && !done)
      throw Error(settings.config.where("run.resume") + ": " + directory_of(i + 1).string() +
                  " has a checkpoint, but the stage before it has none left in " +
                  stage.config.run.output_dir.string() + "; bring it back, or start anew (run.resume: never)");
    if (over) {
      weights = done;
      continue;
    }
    if (settings.console) settings.console->line(fmt::format("stage {} of {}: {}", i + 1, stages.size(), stages[i]));
    result = stages[i] == "sft" ? sft(stage) : train_stage(stage);
    if (result.interrupted || ended || (followed && !result.checkpoint)) return result;
    weights = result.checkpoint;
  }
  return result;
}

}  // namespace grpo::train
