// process.hpp: the parent's side: starts the child, reads its lines, and sees to its end.
#ifndef GRPO_VALIDATE_PROCESS_HPP
#define GRPO_VALIDATE_PROCESS_HPP

#include <functional>
#include <string>

namespace grpo::plugins::conformance {

struct Ending {
  bool late = false;       // no line came in time: it was killed
  int signal = 0;          // that ended it; 0: it ended itself
  int code = 0;            // its exit status
  std::string last_words;  // the end of what it wrote to its standard output and error
};

// Runs grpo-plugin-check with the job; on_line gets what it writes to descriptor 3. seconds: between two lines that
// on_line calls progress by returning true.
Ending run_child(const std::string& helper, const std::string& job, double seconds,
                 const std::function<bool(const std::string&)>& on_line);

// "SIGSEGV", or "signal 42".
std::string signal_name(int number);

}  // namespace grpo::plugins::conformance

#endif
