// spawn.hpp: an interpreter started with our driver in it.
#ifndef GRPO_REWARD_PYTHON_SPAWN_HPP
#define GRPO_REWARD_PYTHON_SPAWN_HPP

#include <sys/types.h>

#include <string>

namespace grpo_python {

// A descriptor that is closed with the object.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor() { reset(); }
  void reset();
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_;
};

// What runs, in a process group of its own: its own pid.
struct Process {
  pid_t pid = -1;
  Descriptor socket;    // frames, both ways; does not block
  Descriptor output;    // what it prints; does not block
  Descriptor lifeline;  // when this closes, with this process too, the kernel kills the group
  Descriptor pidfd;     // readable when it has ended
};

// With posix_spawn: the host has threads. Throws grpo::failure.
Process spawn(const std::string& python);

}  // namespace grpo_python

#endif
