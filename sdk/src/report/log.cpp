#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/dist_sink.h>
#include <spdlog/sinks/ringbuffer_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <atomic>

#include "grpo/sdk/error.hpp"
#include "grpo/sdk/report/console.hpp"
#include "grpo/sdk/report/visible.hpp"
#include "terminal.hpp"

namespace grpo::report {
namespace {

constexpr std::size_t held_lines = 1000;

const char* color_of(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::err:
      return "\x1b[1;31m";
    case spdlog::level::warn:
      return "\x1b[1;33m";
    case spdlog::level::info:
      return "\x1b[32m";
    default:
      return "\x1b[2m";
  }
}

// "warning: text", the first word in colour where that is wanted.
class TerminalSink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    const auto level = spdlog::level::to_string_view(message.level);
    std::string line(level.data(), level.size());
    if (terminal::takes_colors(STDERR_FILENO)) line = color_of(message.level) + line + "\x1b[0m";
    line += ": " + visible({message.payload.data(), message.payload.size()}) + "\n";
    terminal::print_error(line);
  }
  void flush_() override {}
};

// A log that cannot be written is told of once, and ends no run: what a run may not lose, its metrics and checkpoints,
// has errors of its own.
void incomplete(const std::string& why) {
  static std::atomic<bool> told{false};
  if (!told.exchange(true)) terminal::print_error("warning: the log is not complete: " + visible(why) + "\n");
}

// Made on first use and never destroyed: threads may still log while the process ends.
struct Logger {
  std::shared_ptr<TerminalSink> screen = std::make_shared<TerminalSink>();
  spdlog::sink_ptr file;  // null: there is none yet, and `held` has what is to go into it
  std::shared_ptr<spdlog::sinks::ringbuffer_sink_mt> held =
      std::make_shared<spdlog::sinks::ringbuffer_sink_mt>(held_lines);
  std::shared_ptr<spdlog::sinks::dist_sink_mt> sinks = std::make_shared<spdlog::sinks::dist_sink_mt>();
  spdlog::logger logger{"grpo", sinks};
  Logger() {
    screen->set_level(spdlog::level::info);
    sinks->set_sinks({screen, held});
    logger.set_level(spdlog::level::debug);
    logger.flush_on(spdlog::level::debug);
    logger.set_error_handler(incomplete);
  }
};

Logger& logger() {
  static Logger* const one = new Logger;
  return *one;
}

spdlog::level::level_enum level_of(Level level) {
  switch (level) {
    case Level::debug:
      return spdlog::level::debug;
    case Level::info:
      return spdlog::level::info;
    case Level::warning:
      return spdlog::level::warn;
    case Level::error:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

}  // namespace

void log(Level level, std::string_view text) {
  logger().logger.log(level_of(level), spdlog::string_view_t(text.data(), text.size()));
}

void note(Level level, std::string_view text) {
  const spdlog::details::log_msg message("grpo", level_of(level), {text.data(), text.size()});
  if (const auto& file = logger().file) {
    try {
      file->log(message);
      file->flush();
    } catch (const spdlog::spdlog_ex& e) {
      incomplete(e.what());
    }
  } else {
    logger().held->log(message);
  }
}

void hold_log() {
  Logger& l = logger();
  if (!l.file) return;
  l.file = nullptr;
  l.held = std::make_shared<spdlog::sinks::ringbuffer_sink_mt>(held_lines);
  l.sinks->set_sinks({l.screen, l.held});
}

void log_to_file(const std::filesystem::path& path) {
  Logger& l = logger();
  try {
    auto file = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path.string());
    file->set_pattern("%Y-%m-%d %H:%M:%S.%e %l %v");
    l.sinks->set_sinks({l.screen, file});
    if (!l.file)
      for (const auto& message : l.held->last_raw()) file->log(message);
    file->flush();
    l.file = std::move(file);
  } catch (const spdlog::spdlog_ex& e) {
    throw Error(path.string() + ": the log cannot be written: " + e.what());
  }
}

void set_log_level(Level level) { logger().screen->set_level(level_of(level)); }

}  // namespace grpo::report
