#include "run.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/resource.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "changed_settings.hpp"
#include "grpo/sdk/error.hpp"
#include "grpo/sdk/plugins/crash.hpp"
#include "grpo/sdk/train/epoch_line.hpp"
#include "grpo/sdk/train/model_directory.hpp"

namespace grpo::train {
namespace fs = std::filesystem;

fs::path output_dir(const config::Config& config) {
  if (!config.run.output_dir.empty()) return config.run.output_dir;
  return fs::path("runs") / (config.run.name.empty() ? "run" : config.run.name);
}

namespace {

const std::string rows_key = "data.rows";  // beside the keys of the configuration in TrainerState::fixed

std::optional<fs::path> checkpoint_to_resume(const config::Config& config, const fs::path& directory) {
  const auto found = find_checkpoint(directory);
  if (config.run.resume == "never") {
    for (const auto& [key, path] :
         {std::pair{"model.path", config.model.path}, {"reference.path", config.reference.path}})
      if (!path.empty() && fs::weakly_canonical(path).parent_path() == fs::weakly_canonical(directory) &&
          path.filename().string().starts_with("checkpoint-"))
        throw Error(config.where(key) + ": " + path.string() +
                    " lies in run.output_dir, where the new run's checkpoints " +
                    "will be; give this run an output_dir of its own, or go on with run.resume: auto");
    return std::nullopt;
  }
  if (!found && config.run.resume == "must")
    throw Error(config.where("run.resume") + ": there is no checkpoint in " + directory.string() + " to resume from");
  return found;
}

}  // namespace

Run::Run(const StageSettings& settings, TrainerState state)
    : settings_(settings),
      directory_(output_dir(settings.config)),
      state_(std::move(state)),
      save_({settings.config.checkpoint.every_steps, settings.config.checkpoint.every_epochs,
             settings.config.checkpoint.every_seconds}),
      recover_({settings.config.checkpoint.recover_every_steps, settings.config.checkpoint.recover_every_epochs,
                settings.config.checkpoint.recover_every_seconds}) {
  report::hold_log();
  const auto& c = settings.config;
  if (!c.run.name.empty()) state_.fixed["run.name"] = c.run.name;
  state_.fixed.insert({{"run.seed", std::to_string(c.run.seed)},
                       {"data.path", c.data.path.filename().string()},
                       {"data.shuffle", c.data.shuffle ? "true" : "false"},
                       {"optimizer.plugin", c.optimizer.plugin},
                       {"model.plugin", c.model.plugin}});
  state_.fixed["world_size"] = "1";  // this host trains in one process; a checkpoint of several is another run's
  resumed_ = checkpoint_to_resume(settings.config, directory());
  if (resumed_)
    state_ = [&] {
      TrainerState old = read_trainer_state(*resumed_, state_);
      if (const auto rows = old.fixed.find(rows_key); rows != old.fixed.end()) old_rows_ = rows->second;
      old.fixed = state_.fixed;
      return old;
    }();
}

void Run::start(Session& session, std::int64_t rows, std::int64_t steps) {
  state_.fixed[rows_key] = std::to_string(rows);
  if (!old_rows_.empty() && old_rows_ != state_.fixed[rows_key])
    throw Error("cannot resume " + resumed_->string() + ": the data had " + old_rows_ + " usable rows and has now " +
                std::to_string(rows) +
                "; bring it back, or start a new run (run.resume: never, another run.output_dir)");
  rows_ = std::max<std::int64_t>(1, rows);
  position_before_ = state_.position;
  first_step_ = state_.step;
  seconds_before_ = state_.seconds;
  start_ = std::chrono::steady_clock::now();
  if (recover_.every().ever() && !settings_.config.checkpoint.optimizer_state)
    throw Error(settings_.config.where("checkpoint.optimizer_state") +
                ": false leaves nothing to recover with, and checkpoint.recover_every_* ask for it");
  if (save_.every().ever() || recover_.every().ever() || settings_.config.checkpoint.final)
    check_can_save(checkpoint_options(session), session.model(), session.optimizer());
  if (resumed_) restore_optimizer(*resumed_, session.model(), session.optimizer(), state_.optimizer_steps);
  directory_.keep();
  const fs::path log = directory() / "run.log";
  const std::uintmax_t log_from = resumed_ || !fs::exists(log) ? 0 : fs::file_size(log);
  report::log_to_file(log);
  plugins::name_crashes_in(log);
  remove_unfinished_checkpoints(directory());
  if (resumed_) {
    last_checkpoint_ = resumed_;
    if (settings_.on_checkpoint) settings_.on_checkpoint(*resumed_);
    if (settings_.console)
      settings_.console->line(fmt::format("resumed from {} (step {})", resumed_->string(), state_.step));
    // Curves may break here: whoever reads them finds why.
    if (const auto changed = changed_settings(*resumed_ / "run.yaml", session.config()); !changed.empty())
      report::log(report::Level::warning,
                  fmt::format("from step {} on other settings hold: {}", state_.step + 1, fmt::join(changed, "; ")));
  } else if (const auto aside = set_earlier_run_aside(directory())) {
    report::log(report::Level::warning, directory().string() + " held an earlier run, which is now in " +
                                            aside->string() + " (run.resume: auto would have gone on with it)");
  }
  write_file(directory() / "run.yaml", config::effective_yaml(session.config(), /*with_origins=*/true));
  files_ = std::make_unique<RunFiles>(session, RunFiles::Begin{.directory = directory(),
                                                               .stage = state_.stage,
                                                               .resumed = resumed_,
                                                               .last_step = resumed_ ? state_.step : -1,
                                                               .total_steps = steps,
                                                               .log_from = log_from});
}

void Run::report(report::Metrics& metrics) {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  if (checkpoint_seconds_ > 0) metrics.set("timing/checkpoint", checkpoint_seconds_);
  checkpoint_seconds_ = 0;
  metrics.set("memory/rss_peak", static_cast<double>(usage.ru_maxrss) * 1024);
  if (state_.step > first_step_) add_times(metrics);
  files_->step(state_.step, metrics);
  if (settings_.on_step) settings_.on_step(state_.step, metrics);
}

void Run::plan(std::int64_t total_steps, std::int64_t steps_per_epoch) {
  total_steps_ = total_steps;
  steps_per_epoch_ = steps_per_epoch;
}

void Run::add_times(report::Metrics& metrics) {
  const double here = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  const auto done = static_cast<double>(state_.step - first_step_);
  state_.seconds = seconds_before_ + here;
  const EpochLine line{.step = state_.step,
                       .total_steps = total_steps_,
                       .steps_per_epoch = steps_per_epoch_,
                       .step_seconds = metrics.get("step_time"),
                       .total_seconds = state_.seconds,
                       .remaining_seconds = here / done * static_cast<double>(total_steps_ - state_.step)};
  metrics.set("time/total", line.total_seconds);
  metrics.set("time/remaining", line.remaining_seconds);
  const std::string text = epoch_line(line);
  report::note(report::Level::info, text);
  const auto& r = settings_.config.report;
  const bool shown = r.epoch_line && (state_.step == total_steps_ || state_.step % r.every_steps == 0);
  if (settings_.console && shown) settings_.console->below_next_row(text);
}

CheckpointOptions Run::checkpoint_options(Session& session) const {
  const auto& c = session.config();
  CheckpointOptions options;
  options.output_dir = directory();
  // A run that was gone on with began at a checkpoint, which a later one has replaced by now.
  options.model_directory = session.model_directory();
  if (std::error_code gone; last_checkpoint_ && !fs::exists(options.model_directory / "config.json", gone))
    options.model_directory = *last_checkpoint_;
  options.dtype = c.checkpoint.dtype.empty() ? "float32" : c.checkpoint.dtype;
  options.optimizer_state = c.checkpoint.optimizer_state;
  options.adapter = adapter_of(c);
  options.keep = c.checkpoint.keep;
  options.run_yaml = config::effective_yaml(c, true);
  options.further = further_;
  return options;
}

bool Run::go_on(Session& session, bool more) {
  if (!settings_.next) return true;
  Next next;
  while ((next = settings_.next(more)) == Next::save) save(session);
  return next == Next::step;
}

void Run::maybe_save(Session& session, bool last, bool stopped) {
  const bool due = save_.due(state_.step, epoch_before(), epoch());
  const bool recover = recover_.due(state_.step, epoch_before(), epoch());
  if (due || (last && settings_.config.checkpoint.final) || stopped)
    save(session);
  else if (recover)
    save(session, true);
}

void Run::save(Session& session, bool recover) {
  const Timer timer;
  auto options = checkpoint_options(session);
  options.recover = recover;
  last_checkpoint_ = save_checkpoint(options, state_, session.model(), session.optimizer());
  checkpoint_seconds_ = timer.seconds();
  report::log(report::Level::debug,
              fmt::format("checkpoint written to {} in {:.2f} s", last_checkpoint_->string(), checkpoint_seconds_));
  if (settings_.on_checkpoint) settings_.on_checkpoint(*last_checkpoint_);
}

void Run::save_what_there_is(Session& session) {
  const auto& c = settings_.config.checkpoint;
  const bool wanted = c.every_steps > 0 || c.final;
  if (!wanted || state_.step == 0 ||
      (last_checkpoint_ && last_checkpoint_->filename() == "checkpoint-" + std::to_string(state_.step)))
    return;
  save(session);
  report::log(report::Level::info, "checkpoint: " + last_checkpoint_->string());
}

void Run::say_end(std::int64_t total_steps, bool stopped) const {
  files_->end(stopped && state_.step < total_steps ? "stopped" : "finished");
  if (!settings_.console) return;
  if (stopped && state_.step < total_steps)
    settings_.console->line(fmt::format(
        "stopped after step {} of {}{}", state_.step, total_steps,
        settings_.config.checkpoint.optimizer_state && last_checkpoint_ ? "; run.resume=auto goes on from there" : ""));
  if (last_checkpoint_) settings_.console->line(fmt::format("checkpoint: {}", last_checkpoint_->string()));
}

std::optional<double> model_flops_utilization(const config::Config& config, const plugins::Model& model, double tokens,
                                              double seconds) {
  constexpr double passes = 3;  // the backward pass costs two forwards: inputs' gradients, weights' gradients
  const double peak = config.report.peak_tflops * 1e12, each = passes * model.info().flops_per_token;
  if (!(peak > 0) || !(each > 0) || !(seconds > 0)) return std::nullopt;
  return each * tokens / seconds / peak;
}

void add_plugin_metrics(Session& session, report::Metrics& metrics) {
  for (const auto& [name, mean] : session.services().take_metrics())
    metrics.set(name, mean.sum / static_cast<double>(std::max<std::int64_t>(1, mean.count)));
  if (const auto peak = session.model().device_peak_bytes())
    metrics.set("memory/device_peak", static_cast<double>(peak));
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
