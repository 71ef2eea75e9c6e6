#include "channel.hpp"

#include <fcntl.h>
#include <google/protobuf/message_lite.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

namespace grpo::plugins::isolate {
namespace {

constexpr std::uint32_t mark = 0x47525031;
constexpr std::uint32_t longest_frame = 64u << 20;
constexpr std::size_t head = 8;

std::int64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// Waits until the socket can be written to; false: not before the deadline.
bool writable(int fd, std::int64_t deadline_ns) {
  for (;;) {
    int left = -1;
    if (deadline_ns != 0) {
      const std::int64_t ns = deadline_ns - now_ns();
      if (ns <= 0) return false;
      left = static_cast<int>(std::min<std::int64_t>(ns / 1'000'000 + 1, 1'000'000));
    }
    pollfd poll_fd{fd, POLLOUT, 0};
    const int n = ::poll(&poll_fd, 1, left);
    if (n > 0) return (poll_fd.revents & (POLLERR | POLLHUP | POLLNVAL)) == 0;
    if (n < 0 && errno != EINTR) return false;
  }
}

std::uint32_t number_at(const char* bytes) {
  std::uint32_t n;
  std::memcpy(&n, bytes, sizeof n);
  return n;
}

}  // namespace

void Descriptor::reset(int fd) {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

Channel::Channel(Descriptor socket, bool nonblocking) : socket_(std::move(socket)), nonblocking_(nonblocking) {
  if (nonblocking_) ::fcntl(socket_.get(), F_SETFL, ::fcntl(socket_.get(), F_GETFL) | O_NONBLOCK);
}

bool Channel::send(const google::protobuf::MessageLite& message, std::int64_t deadline_ns, int descriptor) {
  out_.resize(head);
  if (!message.AppendToString(&out_) || out_.size() - head > longest_frame) return false;
  const std::uint32_t numbers[2] = {mark, static_cast<std::uint32_t>(out_.size() - head)};
  std::memcpy(out_.data(), numbers, sizeof numbers);
  for (std::size_t sent = 0; sent < out_.size();) {
    iovec piece{out_.data() + sent, out_.size() - sent};
    msghdr packet{};
    packet.msg_iov = &piece;
    packet.msg_iovlen = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    if (descriptor >= 0 && sent == 0) {
      packet.msg_control = control;
      packet.msg_controllen = sizeof control;
      cmsghdr* c = CMSG_FIRSTHDR(&packet);
      c->cmsg_level = SOL_SOCKET;
      c->cmsg_type = SCM_RIGHTS;
      c->cmsg_len = CMSG_LEN(sizeof(int));
      std::memcpy(CMSG_DATA(c), &descriptor, sizeof(int));
    }
    const ssize_t n = ::sendmsg(socket_.get(), &packet, MSG_NOSIGNAL);
    if (n > 0) {
      sent += static_cast<std::size_t>(n);
    } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      if (!writable(socket_.get(), deadline_ns)) return false;
    } else if (n < 0 && errno != EINTR) {
      return false;
    }
  }
  if (out_.capacity() > (std::size_t{1} << 20)) std::string().swap(out_);
  return true;
}

bool Channel::has_frame() const {
  const std::size_t there = in_.size() - taken_;
  if (there < head) return false;
  const std::uint32_t size = number_at(in_.data() + taken_ + 4);
  // What is no frame is told at once, not waited for.
  return number_at(in_.data() + taken_) != mark || size > longest_frame || there - head >= size;
}

Channel::Got Channel::receive(google::protobuf::MessageLite& message) {
  Got got = Got::nothing;
  while (!has_frame()) {
    if (!read_more(got)) return got;
  }
  const char* frame = in_.data() + taken_;
  const std::uint32_t size = number_at(frame + 4);
  if (number_at(frame) != mark || size > longest_frame) return Got::garbage;
  const bool good = message.ParseFromArray(frame + head, static_cast<int>(size));
  taken_ += head + size;
  if (taken_ == in_.size()) {
    taken_ = 0;
    in_.clear();
    if (in_.capacity() > (std::size_t{1} << 20)) std::string().swap(in_);
  }
  return good ? Got::message : Got::garbage;
}

// Appends what has arrived; false: nothing has, `got` says why.
bool Channel::read_more(Got& got) {
  if (taken_ > 0) in_.erase(0, taken_);
  taken_ = 0;
  constexpr std::size_t piece = 16 * 1024;
  const std::size_t had = in_.size();
  in_.resize(had + piece);
  iovec into{in_.data() + had, piece};
  msghdr packet{};
  packet.msg_iov = &into;
  packet.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  if (!nonblocking_) {  // without room for it a descriptor that somebody sends is closed by the system
    packet.msg_control = control;
    packet.msg_controllen = sizeof control;
  }
  ssize_t n;
  do {
    n = ::recvmsg(socket_.get(), &packet, MSG_CMSG_CLOEXEC);
  } while (n < 0 && errno == EINTR);
  in_.resize(had + static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
  if (n <= 0) {
    got = n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? Got::nothing : Got::closed;
    return false;
  }
  for (cmsghdr* c = nonblocking_ ? nullptr : CMSG_FIRSTHDR(&packet); c; c = CMSG_NXTHDR(&packet, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    int fd;
    std::memcpy(&fd, CMSG_DATA(c), sizeof fd);
    came_.reset(fd);
  }
  return true;
}

}  // namespace grpo::plugins::isolate
