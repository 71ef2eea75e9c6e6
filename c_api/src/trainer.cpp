// A trainer a step at a time.
//
// The stage runs as it does in grpo-host, on a thread of its own, because all calls to a model must come from one thread.
// Before each step it asks what to do, and waits there until the caller says step, save or end.
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "boundary.hpp"
#include "grpo/sdk/train/stage.hpp"

using namespace grpo;
using embed::guarded;
using embed::Invalid;
using embed::needed;

namespace {

// The run's log file is the process's: two trainers would write into each other's.
std::atomic<bool> one_is_open{false};

struct Claim {
  Claim() {
    if (one_is_open.exchange(true))
      throw Error("a trainer is open in this process already; close it first (two runs need two processes)");
  }
  ~Claim() { one_is_open = false; }
  Claim(const Claim&) = delete;
  Claim& operator=(const Claim&) = delete;
};

std::vector<std::string> list_of(const char* const* texts, std::int64_t n, const char* name) {
  embed::check_count(n, (std::string("wanted: the number of ") + name).c_str());
  if (n > 0) needed(texts, name);
  std::vector<std::string> list;
  for (std::int64_t i = 0; i < n; ++i) list.emplace_back(&needed(texts[i], name));
  return list;
}

config::Config config_of(const grpo_embed_trainer_wanted& w) {
  const auto overrides = list_of(w.overrides, w.n_overrides, "overrides");
  if (w.config_path && w.config_text) throw Invalid("wanted: config_path and config_text are both given; which is it?");
  if (w.config_text)
    return config::load(config::Source{"config_text", w.config_text, w.config_base ? w.config_base : ""}, overrides);
  config::Config config = config::load(w.config_path ? std::optional<config::Path>(w.config_path) : std::nullopt, overrides);
  if (config.run.name.empty() && w.config_path) config.run.name = std::filesystem::path(w.config_path).stem().string();
  return config;
}

std::string json_text(std::int64_t step, const report::Metrics& metrics) {
  nlohmann::json out = {{"step", step}};
  for (const auto& [name, value] : metrics) out[name] = std::isfinite(value) ? nlohmann::json(value) : nlohmann::json(nullptr);
  return out.dump();
}

}  // namespace

struct grpo_embed_trainer {
  explicit grpo_embed_trainer(const grpo_embed_trainer_wanted& w) : user_(w.user), on_step_(w.on_step) {
    stage_ = w.stage ? w.stage : "train";
    if (stage_ != "train" && stage_ != "sft") throw Invalid("wanted.stage is \"" + stage_ + "\"; the stages are train and sft");
    settings_.config = config_of(w);
    for (const auto& place : list_of(w.places, w.n_places, "places")) settings_.plugin_directories.emplace_back(place);
    settings_.on_step = [this](std::int64_t step, const report::Metrics& m) { reported(step, json_text(step, m)); };
    settings_.on_checkpoint = [this](const std::filesystem::path& path) { saved(path); };
    settings_.next = [this](bool more) { return wait_for_command(more); };
    thread_ = std::thread([this] { run(); });
    try {
      wait_for_stage();
    } catch (...) {  // the stage could not be opened
      thread_.join();
      throw;
    }
  }
  ~grpo_embed_trainer() {
    {
      std::unique_lock lock(mutex_);
      command_ = train::Next::end;
      phase_ = phase_ == Phase::asking ? Phase::running : phase_;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  // Waits until the stage asks or has ended; hands over what it reported. False: a callback wants the run to end.
  void wait_for_stage() {
    std::vector<std::pair<std::int64_t, std::string>> reports;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return phase_ != Phase::running; });
      reports.swap(reports_);
    }
    for (const auto& [step, text] : reports) {
      last_ = text;
      if (on_step_ && on_step_(user_, step, text.c_str()) != 0) told_to_end_ = true;
    }
    if (failure_) std::rethrow_exception(failure_);
  }

  void command(train::Next next) {
    {
      const std::lock_guard lock(mutex_);
      command_ = next;
      phase_ = Phase::running;
    }
    changed_.notify_all();
    wait_for_stage();
  }

  bool ended() const { return phase_ == Phase::over || !more_ || told_to_end_; }

  bool step() {
    need_no_failure();
    if (ended()) return false;
    command(train::Next::step);
    return true;
  }
  void save() {
    need_no_failure();
    if (phase_ == Phase::over) throw Error("the run is over; nothing is left to save");
    command(train::Next::save);
  }
  void need_no_failure() const {
    if (failure_) throw Error("the run has failed before; close the trainer, and open one with run.resume: auto");
  }

  std::string stage_, last_;
  std::string checkpoint_;
  train::StageSettings settings_;
  std::int64_t step_ = 0;  // reported last

 private:
  enum class Phase { running, asking, over };

  // The stage's thread.
  void run() {
    try {
      stage_ == "sft" ? train::sft(settings_) : train::train(settings_);
    } catch (...) {
      failure_ = std::current_exception();
    }
    const std::lock_guard lock(mutex_);
    phase_ = Phase::over;
    changed_.notify_all();
  }
  void reported(std::int64_t step, std::string text) {
    const std::lock_guard lock(mutex_);
    step_ = step;
    reports_.emplace_back(step, std::move(text));
  }
  void saved(const std::filesystem::path& path) {
    const std::lock_guard lock(mutex_);
    checkpoint_ = path.string();
  }
  train::Next wait_for_command(bool more) {
    std::unique_lock lock(mutex_);
    if (command_ == train::Next::end) return train::Next::end;
    more_ = more;
    phase_ = Phase::asking;
    changed_.notify_all();
    changed_.wait(lock, [this] { return phase_ == Phase::running; });
    return command_;
  }

  Claim claim_;
  void* user_;
  int32_t (*on_step_)(void*, int64_t, const char*);
  bool told_to_end_ = false;

  // What both threads touch. Outside of `running` the stage's thread waits or is gone.
  std::mutex mutex_;
  std::condition_variable changed_;
  Phase phase_ = Phase::running;
  train::Next command_ = train::Next::step;
  bool more_ = true;
  std::vector<std::pair<std::int64_t, std::string>> reports_;
  std::exception_ptr failure_;
  std::thread thread_;
};

grpo_status grpo_embed_trainer_open(const grpo_embed_trainer_wanted* wanted, grpo_embed_trainer** trainer,
                                    grpo_embed_error* error) {
  return guarded(error, [&]() -> grpo_status {
    embed::quiet_once();
    needed(trainer, "trainer") = nullptr;
    const auto w = GRPO_EMBED_TAKEN(grpo_embed_trainer_wanted, wanted, on_step);
    embed::check_flags(w.flags, 0, "grpo_embed_trainer_open");
    *trainer = new grpo_embed_trainer(w);
    return GRPO_STATUS_OK;
  });
}

grpo_status grpo_embed_trainer_step(grpo_embed_trainer* trainer, grpo_embed_text* metrics, grpo_embed_error* error) {
  embed::clear(metrics);
  return guarded(error, [&]() -> grpo_status {
    if (!needed(trainer, "trainer").step()) return GRPO_STATUS_END;
    embed::give(metrics, trainer->last_);
    return GRPO_STATUS_OK;
  });
}

grpo_status grpo_embed_trainer_save(grpo_embed_trainer* trainer, grpo_embed_text* path, grpo_embed_error* error) {
  embed::clear(path);
  return guarded(error, [&]() -> grpo_status {
    needed(trainer, "trainer").save();
    embed::give(path, trainer->checkpoint_);
    return GRPO_STATUS_OK;
  });
}

grpo_status grpo_embed_trainer_describe(grpo_embed_trainer* trainer, grpo_embed_text* json, grpo_embed_error* error) {
  embed::clear(json);
  return guarded(error, [&]() -> grpo_status {
    const auto& t = needed(trainer, "trainer");
    const auto& c = t.settings_.config;
    embed::give(&needed(json, "json"),
                nlohmann::json{{"stage", t.stage_},
                               {"step", t.step_},
                               {"ended", t.ended()},
                               {"output_dir", train::output_dir(c).string()},
                               {"checkpoint", t.checkpoint_.empty() ? nlohmann::json(nullptr) : nlohmann::json(t.checkpoint_)},
                               {"config", config::effective_yaml(c)}});
    return GRPO_STATUS_OK;
  });
}

void grpo_embed_trainer_close(grpo_embed_trainer* trainer) { delete trainer; }
