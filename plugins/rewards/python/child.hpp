// child.hpp: one interpreter: frames to and from it, what it prints, how it ended.
//
// Nothing here blocks but `close`. One thread at a time. The host's end takes nothing for granted: a function may have
// written anything into the socket, or closed it.
#ifndef GRPO_REWARD_PYTHON_CHILD_HPP
#define GRPO_REWARD_PYTHON_CHILD_HPP

#include <chrono>
#include <deque>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "spawn.hpp"

struct pollfd;

namespace grpo_python {

using Clock = std::chrono::steady_clock;
using json = nlohmann::json;

// Told once by each child, when the function is there.
struct Function {
  std::string style, version;
  bool batch = false;  // takes a batch
  bool whole = false;  // a request is one piece: a batch, or samples that are waited for together
  bool ids = false;    // wants token ids
};

class Child {
 public:
  // Starts it with the first frame; whether that went well is the first frame from there.
  Child(const std::string& python, const json& start);
  ~Child();  // kills what is left
  Child(const Child&) = delete;

  void send(const json& message, const std::vector<std::int32_t>& ids = {});
  // Moves what can be moved. Ask for frames and lines afterwards.
  void pump();
  bool next(json& frame);            // false: none yet
  std::vector<std::string> lines();  // printed since, whole lines, bounded; `dropped` counts the rest
  std::int64_t dropped();

  bool ended() const { return ended_; }  // no frame will come any more
  std::string how() const;               // "the interpreter was killed by SIGSEGV (Segmentation fault)"
  std::string last_words() const;        // "; its last line: ...", or nothing
  void watch(std::vector<pollfd>& on) const;

  void kill();   // with what it started
  void close();  // lets it run its exit handlers, for a moment

  bool ready = false;  // has said that the function is there
  Function function;
  Clock::time_point since = Clock::now();

 private:
  bool too_old() const;  // as bootstrap has said in its last words
  void read_socket();
  void read_output();
  void write_socket();
  void reap(bool wait);

  std::string python_;
  Process process_;
  std::string out_, in_, text_, last_words_;
  std::size_t sent_ = 0;
  std::vector<std::string> lines_;
  std::int64_t dropped_ = 0;
  bool ended_ = false, reaped_ = false, garbage_ = false, closed_ = false;
  int status_ = 0;
};

}  // namespace grpo_python

#endif
