#include "child.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <thread>

#include "../recording.hpp"
#include "grpo/sdk/error.hpp"
#include "helper.hpp"

namespace grpo::plugins::fuzzing {
namespace {

namespace fs = std::filesystem;

// Starts the program with its output in a file; its number.
pid_t start(const std::vector<std::string>& arguments, const fs::path& output) {
  return Start(arguments)
      .open(STDIN_FILENO, "/dev/null", O_RDONLY)
      .open(STDOUT_FILENO, output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600)
      .give(STDOUT_FILENO, STDERR_FILENO)
      .own_group()  // with whatever it starts
      .run();
}

// What the child said: rules that were broken, which it tells line by line, and what the plugin printed.
void read_output(const fs::path& file, Outcome& out) {
  constexpr std::size_t most = 256 * 1024, shown = 2000;
  std::ifstream in(file, std::ios::binary | std::ios::ate);
  const auto size = in ? static_cast<std::streamoff>(in.tellg()) : 0;
  const auto n = static_cast<std::streamoff>(std::min<std::streamoff>(size, most));
  in.seekg(size - n);
  std::string text(static_cast<std::size_t>(n), '\0');
  in.read(text.data(), n);
  std::istringstream lines(text);
  const std::string host = "grpo-host: ", call = host + "call ";
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(host)) {
      out.output += line + '\n';
    } else if (line.starts_with(call)) {
      const std::size_t colon = line.find(": ", call.size());
      const std::uint64_t number = std::strtoull(line.c_str() + call.size(), nullptr, 10);
      if (colon != line.npos) out.broken.try_emplace(number, line.substr(colon + 2));
    }  // else: that the plugin crashed or left, which its end tells
  }
  out.output.erase(out.output.find_last_not_of(" \n") + 1);
  if (out.output.size() > shown) out.output.erase(0, out.output.size() - shown);
}

void read_answers(const fs::path& file, Outcome& out) {
  if (!fs::exists(file)) return;
  record::Recording recording(file.string());
  out.flags = recording.header().component(0).flags();
  wire::Envelope message;
  std::uint64_t last = 0;
  while (recording.next(message)) {
    if (message.function() == "close") continue;
    if (message.answer())
      out.answers[message.id()] = message;
    else
      last = message.id();
  }
  if (last != 0 && !out.answers.contains(last)) out.unanswered = last;
}

}  // namespace

Script::Script(const wire::Component& component, const std::string& options) {
  header_.set_format(wire::format);
  header_.set_host("plugins fuzz");
  header_.set_header_revision(GRPO_HEADER_REVISION);
  *header_.add_component() = component;
  wire::Envelope& open = messages_.emplace_back();
  open.set_id(++calls_);
  open.set_handle(1);
  open.set_function("open");
  open.mutable_options()->set_json(options);
}

void Script::opens_well() {
  wire::Envelope& answer = messages_.emplace_back();
  answer.set_id(1);
  answer.set_handle(1);
  answer.set_function("open");
  answer.set_answer(true);
}

std::uint64_t Script::score(const wire::RewardBatch& batch, const wire::RewardResult* expected) {
  wire::Envelope& ask = messages_.emplace_back();
  ask.set_id(++calls_);
  ask.set_handle(1);
  ask.set_function("score");
  *ask.mutable_reward()->mutable_batch() = batch;
  if (expected) {
    wire::Envelope& answer = messages_.emplace_back();
    answer.set_id(calls_);
    answer.set_handle(1);
    answer.set_function("score");
    answer.set_answer(true);
    *answer.mutable_reward()->mutable_result() = *expected;
  }
  return calls_;
}

void Script::write(const fs::path& file) const {
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  if (!out) throw Error(file.string() + ": cannot be written");
  wire::write_delimited(out, header_, file.string());
  for (const wire::Envelope& message : messages_) wire::write_delimited(out, message, file.string());
}

Child::Child(const FuzzSettings& settings) : settings_(settings) {
  std::string pattern = (fs::temp_directory_path() / "grpo-fuzz-XXXXXX").string();
  if (!mkdtemp(pattern.data())) throw Error(pattern + ": cannot be made: " + std::strerror(errno));
  folder_ = pattern;
}

Child::~Child() {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

Outcome Child::run(const Script& script, double timeout_seconds) const {
  const fs::path calls = folder_ / "calls", answers = folder_ / "answers", output = folder_ / "output";
  std::error_code ignored;
  fs::remove(answers, ignored);
  script.write(calls);
  const pid_t pid = start({settings_.host, "plugins", "replay", calls.string(), "--plugin", settings_.library,
                           "--record", answers.string(), "--kill-after", std::to_string(timeout_seconds), "--memory-mb",
                           std::to_string(settings_.memory_mb), "--check-plugins"},
                          output);
  // The child ends itself by an alarm when a call takes too long; a plugin that takes the alarm away is ended from
  // here.
  const auto last = std::chrono::steady_clock::now() +
                    std::chrono::duration_cast<std::chrono::nanoseconds>(
                        std::chrono::duration<double>(60 + settings_.seconds + 4 * timeout_seconds));
  int status = 0;
  Outcome out;
  for (int wait_us = 200; waitpid(pid, &status, WNOHANG) == 0; wait_us = std::min(2 * wait_us, 5000)) {
    std::this_thread::sleep_for(std::chrono::microseconds(wait_us));
    if (std::chrono::steady_clock::now() < last) continue;
    kill(-pid, SIGKILL);
    waitpid(pid, &status, 0);
    out.timed_out = true;
    break;
  }
  kill(-pid, SIGKILL);  // what it left behind
  out.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  out.exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  out.timed_out = out.timed_out || out.signal == SIGALRM;
  read_output(output, out);
  read_answers(answers, out);
  return out;
}

}  // namespace grpo::plugins::fuzzing
