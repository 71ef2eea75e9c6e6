// channel.hpp: Protobuf messages over one end of a Unix stream socket, for the host and for the plugin's process.
//
// A frame is a mark, the length and the message. The host's end does not block and takes nothing for granted: whoever
// is at the other end may have written anything, or nothing, or the beginning of something.
#ifndef GRPO_PLUGINS_ISOLATE_CHANNEL_HPP
#define GRPO_PLUGINS_ISOLATE_CHANNEL_HPP

#include <cstdint>
#include <string>
#include <string_view>

namespace google::protobuf {
class MessageLite;
}

namespace grpo::plugins::isolate {

// A descriptor that is closed with the object.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    reset(other.release());
    return *this;
  }
  ~Descriptor() { reset(); }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }
  void reset(int fd = -1);

 private:
  int fd_;
};

class Channel {
 public:
  enum class Got { message, nothing, closed, garbage };

  Channel() = default;
  // Takes the descriptor. nonblocking: the host's end.
  Channel(Descriptor socket, bool nonblocking);
  int fd() const { return socket_.get(); }

  // Sends a message, and a descriptor with it (-1: none). False: the other end is closed, or does not read and the
  // deadline (CLOCK_MONOTONIC, 0: none) has passed. One thread at a time.
  bool send(const google::protobuf::MessageLite& message, std::int64_t deadline_ns = 0, int descriptor = -1);

  // The next message. nothing: none has arrived yet (the host's end alone). garbage: no frame, or not of this type; the
  // channel is of no more use. A descriptor that came with it is kept for take_descriptor, in the plugin's process
  // alone: the host takes none.
  Got receive(google::protobuf::MessageLite& message);
  Descriptor take_descriptor() { return std::move(came_); }
  // Is there something that receive would give without asking the socket?
  bool has_frame() const;

 private:
  bool read_more(Got& got);
  Descriptor socket_, came_;
  bool nonblocking_ = false;
  std::string in_, out_;
  std::size_t taken_ = 0;  // of in_
};

}  // namespace grpo::plugins::isolate

#endif
