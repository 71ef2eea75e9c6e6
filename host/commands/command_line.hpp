// command_line.hpp: how a command says what it takes from the command line, and what it then does.
//
// A thin front of CLI11, so that one file alone has to read those headers. Values are written where the caller keeps
// them, before the action runs; a value's default is shown in the help.
//
//     auto a = std::make_shared<Arguments>();
//     Command sub = app.command("score", "A reward plugin over saved samples");
//     sub.option("--batch", a->batch, "Samples in a call").positive();
//     sub.action([a] { return score(*a); });
#ifndef GRPO_HOST_COMMAND_LINE_HPP
#define GRPO_HOST_COMMAND_LINE_HPP

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace grpo::host {

// What a command does when it was chosen; its exit status.
using Action = std::function<int()>;

// An option, or an argument without dashes; what follows limits it. Lives as long as its command line.
class Option {
 public:
  explicit Option(CLI::Option* option) : option_(option) {}
  Option required();
  Option existing_file();
  Option existing_directory();
  Option existing_path();
  Option one_of(const std::vector<std::string>& values);
  Option positive();
  Option not_negative();
  Option between(double least, double most);
  Option excludes(const std::string& other);  // by its name, "--greedy"; must be there already

 private:
  CLI::Option* option_;
};

// A command, or the program itself. Lives as long as its command line.
class Command {
 public:
  Command(CLI::App* app, Action* chosen) : app_(app), chosen_(chosen) {}
  // A command below this one.
  Command command(const std::string& name, const std::string& description);
  // One of the commands below must be given.
  void require_command();
  // The heading above this command in the help of the one that it belongs to.
  void group(const std::string& name);
  // What the help ends in.
  void footer(const std::string& text);

  // name: "--batch", "-n,--samples", or "file" for an argument without dashes. A list with dashes takes one value each
  // time it is given, one without all that are left.
  Option option(const std::string& name, std::string& value, const std::string& description);
  Option option(const std::string& name, std::vector<std::string>& values, const std::string& description);
  Option option(const std::string& name, double& value, const std::string& description);
  Option option(const std::string& name, std::int64_t& value, const std::string& description);
  Option option(const std::string& name, std::size_t& value, const std::string& description);
  void flag(const std::string& name, bool& value, const std::string& description);

  void action(Action action);

 private:
  CLI::App* app_;
  Action* chosen_;
};

class CommandLine {
 public:
  CommandLine(const std::string& name, const std::string& description, const std::string& version);
  ~CommandLine();
  Command program() { return {app_.get(), &chosen_}; }

  // Reads the arguments. A status: of the program that is to end now, since help was asked for and given, or a mistake
  // has been printed.
  std::optional<int> parse(int argc, char** argv);
  // Of the command that was given; null: none was.
  const Action& chosen() const { return chosen_; }
  std::string help() const;

 private:
  std::unique_ptr<CLI::App> app_;
  Action chosen_;
};

}  // namespace grpo::host

#endif
