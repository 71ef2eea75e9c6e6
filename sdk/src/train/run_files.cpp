#include "run_files.hpp"

#include <fmt/format.h>
#include <grpo/model.h>
#include <grpo/optimizer.h>
#include <grpo/reward.h>
#include <grpo/sampler.h>
#include <unistd.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "grpo/sdk/error.hpp"
#include "grpo/sdk/train/model_directory.hpp"
#include "machine.hpp"

namespace grpo::train {
namespace {

std::int64_t now() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

report::NameSettings name_settings(const config::Config& config) {
  report::NameSettings settings;
  settings.kl_coefficient = config.algorithm.kl_coefficient;
  settings.mask_truncated = config.algorithm.mask_truncated_completions;
  settings.evaluation = config.evaluation.path.stem().string();
  settings.evaluation_samples = static_cast<double>(config.evaluation.samples);
  return settings;
}

// The plugins of a run with their versions, and the libraries that they name.
void add_components(Session& session, nlohmann::json& facts) {
  const auto add = [&](const std::string& role, const std::string& interface, const std::string& name) {
    for (const auto& manifest : session.registry().manifests())
      for (const auto& component : manifest.components)
        if (component.interface_id == interface && component.name == name) {
          facts["components"].push_back(
              {{"role", role}, {"name", name}, {"plugin", manifest.name}, {"version", manifest.version}});
          for (const auto& [library, version] : manifest.requires_once) facts["libraries"][library] = version;
          return;
        }
  };
  const auto& config = session.config();
  const bool trains = facts["stage"] == "train";
  add("model", GRPO_MODEL_ID, session.model().component().manifest.name);
  add("optimizer", GRPO_OPTIMIZER_ID, session.optimizer().component().manifest.name);
  if (!trains) return;
  add("sampler", GRPO_SAMPLER_ID, config.sampler.plugin);
  for (const auto& reward : config.rewards) add("reward " + reward.name, GRPO_REWARD_ID, reward.plugin);
}

}  // namespace

RunFiles::RunFiles(Session& session, const Begin& begin)
    : directory_(begin.directory),
      names_(session.config().report.metric_names, name_settings(session.config())),
      metrics_(begin.directory / "metrics.jsonl", begin.last_step) {
  const auto& config = session.config();
  facts_ = std::make_unique<nlohmann::json>(nlohmann::json{{"stage", begin.stage},
                                                           {"status", "running"},
                                                           {"steps_total", begin.total_steps},
                                                           {"started", now()},
                                                           {"process", getpid()},
                                                           {"log_from", begin.log_from},
                                                           {"host", GRPO_VERSION},
                                                           {"abi", GRPO_ABI},
                                                           {"header_revision", GRPO_HEADER_REVISION},
                                                           {"parameters", session.model().info().n_elements},
                                                           {"machine", machine(config.run.threads)}});
  auto& facts = *facts_;
  if (begin.resumed) facts["resumed"] = begin.resumed->filename().string();
  add_components(session, facts);
  if (config.model.device != "cpu")
    for (const auto& [name, version] : device_libraries()) facts["libraries"][name] = version;
  write_facts();
  const auto& r = config.report;
  if (begin.stage == "train" && r.samples_every > 0 && r.samples > 0)
    samples_.emplace(directory_ / "samples.jsonl", begin.last_step);
  if (r.tensorboard) {
    board_.emplace(directory_, begin.last_step + 1);
    board_->text(std::max<std::int64_t>(0, begin.last_step), "config",
                 report::code_block(config::effective_yaml(config, /*with_origins=*/true)));
    board_->flush();
  }
  if (r.html) page_.emplace(directory_, r.html_every_seconds);
}

RunFiles::~RunFiles() {
  try {
    if (!ended_) end("failed");
  } catch (const std::exception&) {  // what ended the run is being told already
  }
}

void RunFiles::samples(std::int64_t step, std::span<const report::SavedSample> samples) {
  if (!samples_ || samples.empty()) return;
  samples_->write(step, samples);
  if (!board_) return;
  std::string shown;
  for (const auto& s : samples)
    shown += fmt::format("**group {}, completion {}: reward {:.3g}, advantage {:.3g}, {} tokens**\n\n{}\n\n{}\n\n",
                         s.group, s.index, s.reward, s.advantage, s.tokens, report::code_block(s.prompt),
                         report::code_block(s.completion));
  board_->text(step, "samples", shown);
}

void RunFiles::step(std::int64_t step, report::Metrics& metrics) {
  names_.add(step, metrics);
  metrics_.write(step, metrics);
  if (board_) {
    board_->scalars(step, metrics);
    board_->flush();
  }
  if (page_) page_->step();
}

void RunFiles::end(const std::string& status) {
  ended_ = true;
  (*facts_)["status"] = status;
  (*facts_)["ended"] = now();
  write_facts();
  if (page_) page_->end();
}

void RunFiles::write_facts() {
  const auto path = directory_ / "run.json";
  write_file(path.string() + ".tmp", facts_->dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  std::filesystem::rename(path.string() + ".tmp", path);
}

}  // namespace grpo::train
