#include "run.hpp"

#include <fmt/format.h>
#include <sys/resource.h>

#include <nlohmann/json.hpp>

#include "grpo/sdk/error.hpp"
#include "grpo/sdk/train/model_directory.hpp"

namespace grpo::train {
namespace fs = std::filesystem;

fs::path output_dir(const config::Config& config) {
  if (!config.run.output_dir.empty()) return config.run.output_dir;
  return fs::path("runs") / (config.run.name.empty() ? "run" : config.run.name);
}

namespace {

std::optional<fs::path> checkpoint_to_resume(const config::Config& config, const fs::path& directory) {
  const auto found = find_checkpoint(directory);
  if (config.run.resume == "never") {
    if (found)
      report::log(report::Level::warning,
                  directory.string() + " holds checkpoints of an earlier run (" + found->filename().string() +
                      "); run.resume: auto would go on from there. Same-named ones will be replaced");
    return std::nullopt;
  }
  if (!found && config.run.resume == "must")
    throw Error(config.where("run.resume") + ": there is no checkpoint in " + directory.string() + " to resume from");
  return found;
}

}  // namespace

Run::Run(const StageSettings& settings, TrainerState state)
    : settings_(settings), directory_(output_dir(settings.config)), state_(std::move(state)) {
  std::error_code error;
  fs::create_directories(directory_, error);
  if (error) throw Error(directory_.string() + ": cannot be made: " + error.message() + " (run.output_dir)");
  report::log_to_file(directory_ / "run.log");
  resumed_ = checkpoint_to_resume(settings.config, directory_);
  if (resumed_)
    state_ = [&] {
      TrainerState old = read_trainer_state(*resumed_, state_);
      old.fixed = state_.fixed;
      return old;
    }();
}

void Run::start(Session& session) {
  if (resumed_) {
    restore_optimizer(*resumed_, session.model(), session.optimizer(), state_.optimizer_steps);
    last_checkpoint_ = resumed_;
    if (settings_.console)
      settings_.console->line(fmt::format("resumed from {} (step {})", resumed_->string(), state_.step));
  }
  write_file(directory_ / "run.yaml", config::effective_yaml(settings_.config, /*with_origins=*/true));
  metrics_file_ = std::make_unique<report::MetricsFile>(directory_ / "metrics.jsonl", resumed_ ? state_.step : -1);
}

void Run::report(report::Metrics& metrics) {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  metrics.set("memory/rss_peak", static_cast<double>(usage.ru_maxrss) * 1024);
  metrics_file_->write(state_.step, metrics);
  if (settings_.on_step) settings_.on_step(state_.step, metrics);
}

fs::path Run::save(Session& session) {
  const auto& c = settings_.config;
  CheckpointOptions options;
  options.output_dir = directory_;
  options.model_directory = session.model_directory();
  options.dtype = c.checkpoint.dtype.empty() ? "float32" : c.checkpoint.dtype;
  options.optimizer_state = c.checkpoint.optimizer_state;
  options.keep = c.checkpoint.keep;
  options.run_yaml = config::effective_yaml(c, true);
  last_checkpoint_ = save_checkpoint(options, state_, session.model(), session.optimizer());
  return *last_checkpoint_;
}

void Run::maybe_save(Session& session, bool last, report::Metrics& metrics) {
  const auto& c = settings_.config.checkpoint;
  const bool due = c.every_steps > 0 && state_.step % c.every_steps == 0;
  if (!due && !(last && c.final)) return;
  const Timer timer;
  const auto path = save(session);
  metrics.set("timing/checkpoint", timer.seconds());
  report::log(report::Level::debug, "checkpoint written to " + path.string());
}

algorithm::ScheduleOptions schedule_of(const config::Config& config, double peak) {
  return {.kind = algorithm::schedule_kind(config.optimizer.schedule),
          .peak = peak,
          .warmup_steps = config.optimizer.warmup_steps,
          .warmup_ratio = config.optimizer.warmup_ratio,
          .min_ratio = config.optimizer.minimum_learning_rate_ratio};
}

std::vector<std::pair<std::string, std::string>> common_settings(const config::Config& config, Session& session,
                                                                 const PromptSet& prompts, const Run& run) {
  const auto& info = session.model().info();
  const auto version = [](const plugins::Component& c) { return c.plugin + " " + c.version; };
  return {{"model", fmt::format("{} ({:.1f} M parameters, {}, {}; {})", session.model_directory().string(),
                                static_cast<double>(info.n_elements) / 1e6, config.model.dtype, config.model.device,
                                version(session.model().component()))},
          {"data", fmt::format("{} ({} rows{})", config.data.path.string(), prompts.size(),
                               prompts.dropped() ? fmt::format(", {} dropped", prompts.dropped()) : "")},
          {"optimizer",
           fmt::format("{}, {} schedule", version(session.optimizer().component()), config.optimizer.schedule)},
          {"output", run.directory().string()}};
}

}  // namespace grpo::train
