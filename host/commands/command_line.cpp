#include "command_line.hpp"

#include <CLI/CLI.hpp>
#include <cmath>

namespace grpo::host {

Option Option::required() { return option_->required(), *this; }
Option Option::existing_file() { return option_->check(CLI::ExistingFile), *this; }
Option Option::existing_directory() { return option_->check(CLI::ExistingDirectory), *this; }
Option Option::existing_path() { return option_->check(CLI::ExistingPath), *this; }
Option Option::one_of(const std::vector<std::string>& values) { return option_->check(CLI::IsMember(values)), *this; }
Option Option::positive() { return option_->check(CLI::PositiveNumber), *this; }
Option Option::not_negative() { return option_->check(CLI::NonNegativeNumber), *this; }
Option Option::between(double least, double most) { return option_->check(CLI::Range(least, most)), *this; }
Option Option::excludes(const std::string& other) { return option_->excludes(other), *this; }

Command Command::command(const std::string& name, const std::string& description) {
  return {app_->add_subcommand(name, description), chosen_};
}

void Command::require_command() { app_->require_subcommand(1); }
void Command::group(const std::string& name) { app_->group(name); }
void Command::footer(const std::string& text) { app_->footer(text); }

Option Command::option(const std::string& name, std::string& value, const std::string& description) {
  CLI::Option* option = app_->add_option(name, value, description);
  return Option(value.empty() ? option : option->capture_default_str());
}

Option Command::option(const std::string& name, std::vector<std::string>& values, const std::string& description) {
  return Option(app_->add_option(name, values, description)->allow_extra_args(!name.starts_with('-')));
}

Option Command::option(const std::string& name, double& value, const std::string& description) {
  CLI::Option* option = app_->add_option(name, value, description)->capture_default_str();
  return Option(option->check([](const std::string& text) {
    double number = 0;  // every bound lets NaN pass
    return CLI::detail::lexical_cast(text, number) && std::isnan(number) ? "not a number: " + text : std::string();
  }));
}

Option Command::option(const std::string& name, std::int64_t& value, const std::string& description) {
  return Option(app_->add_option(name, value, description)->capture_default_str());
}

Option Command::option(const std::string& name, std::size_t& value, const std::string& description) {
  return Option(app_->add_option(name, value, description)->capture_default_str());
}

void Command::flag(const std::string& name, bool& value, const std::string& description) {
  app_->add_flag(name, value, description);
}

void Command::action(Action action) {
  app_->callback([chosen = chosen_, action = std::move(action)] { *chosen = action; });
}

CommandLine::CommandLine(const std::string& name, const std::string& description, const std::string& version)
    : app_(std::make_unique<CLI::App>(description, name)) {
  app_->set_version_flag("--version", version);
  app_->require_subcommand(0, 1);
}

CommandLine::~CommandLine() = default;

std::optional<int> CommandLine::parse(int argc, char** argv) {
  try {
    app_->parse(argc, argv);
    return std::nullopt;
  } catch (const CLI::ParseError& e) {
    return app_->exit(e);
  }
}

std::string CommandLine::help() const { return app_->help(); }

}  // namespace grpo::host
