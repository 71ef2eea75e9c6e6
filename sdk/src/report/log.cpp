#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/dist_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include "grpo/sdk/error.hpp"
#include "grpo/sdk/report/console.hpp"

namespace grpo::report {
namespace {

// Made on first use and never destroyed: threads may still log while the process ends.
struct Logger {
  std::shared_ptr<spdlog::sinks::stderr_color_sink_mt> terminal =
      std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
  std::shared_ptr<spdlog::sinks::dist_sink_mt> sinks = std::make_shared<spdlog::sinks::dist_sink_mt>();
  spdlog::logger logger{"grpo", sinks};
  Logger() {
    terminal->set_pattern("%^%l%$: %v");
    terminal->set_level(spdlog::level::info);
    sinks->add_sink(terminal);
    logger.set_level(spdlog::level::debug);
    logger.flush_on(spdlog::level::debug);
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

void log_to_file(const std::filesystem::path& path) {
  try {
    auto file = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path.string());
    file->set_pattern("%Y-%m-%d %H:%M:%S.%e %l %v");
    logger().sinks->set_sinks({logger().terminal, file});
  } catch (const spdlog::spdlog_ex& e) {
    throw Error(path.string() + ": the log cannot be written: " + e.what());
  }
}

void set_log_level(Level level) { logger().terminal->set_level(level_of(level)); }

}  // namespace grpo::report
