#include "child.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>

namespace grpo_python {
namespace {

constexpr std::size_t largest_frame = std::size_t{1} << 28, longest_line = 4096, most_lines = 200;
constexpr auto goodbye = std::chrono::seconds(2);

void append_number(std::string& to, std::uint64_t n) {
  for (int byte = 0; byte < 8; ++byte) to += static_cast<char>(n >> (8 * byte));
}
std::uint64_t number_at(const std::string& from) {
  std::uint64_t n = 0;
  for (int byte = 7; byte >= 0; --byte) n = n << 8 | static_cast<unsigned char>(from[static_cast<std::size_t>(byte)]);
  return n;
}

}  // namespace

Child::Child(const std::string& python, const json& start) : python_(python), process_(spawn(python)) {
  send(start);
  pump();
}

Child::~Child() { kill(); }

void Child::send(const json& message, const std::vector<std::int32_t>& ids) {
  const std::string text = message.dump(-1, ' ', false, json::error_handler_t::replace);
  out_.erase(0, sent_);
  sent_ = 0;
  append_number(out_, text.size());
  append_number(out_, ids.size() * sizeof ids[0]);
  out_ += text;
  if (!ids.empty()) out_.append(reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof ids[0]);
}

void Child::pump() {
  read_output();
  read_socket();
  if (!ended_) write_socket();
  // The end of the process counts, not that of the socket: what it has started may still hold that open. What it had
  // written before is read first.
  pollfd end{process_.pidfd.get(), POLLIN, 0};
  const bool closed = ended_;
  if (closed || (process_.pidfd && ::poll(&end, 1, 0) == 1)) {
    if (closed && !garbage_) closed_ = ::poll(&end, process_.pidfd ? 1 : 0, 200) != 1;  // it ends, or lives without it
    read_socket();
    read_output();
    kill();
  } else if (!process_.pidfd) {
    reap(false);
    if (reaped_) ended_ = true;
  }
}

void Child::write_socket() {
  while (sent_ < out_.size()) {
    const ssize_t n = ::send(process_.socket.get(), out_.data() + sent_, out_.size() - sent_, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      if (errno != EAGAIN) ended_ = true;
      return;
    }
    sent_ += static_cast<std::size_t>(n);
  }
  if (sent_ == out_.size()) {
    out_.clear();
    sent_ = 0;
  }
}

void Child::read_socket() {
  if (!process_.socket) return;
  char piece[65536];
  for (;;) {
    const ssize_t n = ::recv(process_.socket.get(), piece, sizeof piece, 0);
    if (n > 0) {
      in_.append(piece, static_cast<std::size_t>(n));
      if (in_.size() >= 8 && number_at(in_) > largest_frame) break;
      continue;
    }
    if (n < 0 && errno == EINTR) continue;
    if (n == 0 || errno != EAGAIN) ended_ = true;
    return;
  }
  garbage_ = ended_ = true;
}

void Child::read_output() {
  if (!process_.output) return;
  char piece[16384];
  for (int turn = 0; turn < 64; ++turn) {
    const ssize_t n = ::read(process_.output.get(), piece, sizeof piece);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    text_.append(piece, static_cast<std::size_t>(n));
    for (std::size_t end; (end = text_.find('\n')) != text_.npos || text_.size() > longest_line;) {
      const std::size_t cut = std::min(end, longest_line);
      std::string line = text_.substr(0, cut);
      text_.erase(0, cut == end ? cut + 1 : cut);
      if (line.find_first_not_of(" \r\t") != line.npos && !line.starts_with("  File \"<")) last_words_ = line;
      if (lines_.size() < most_lines)
        lines_.push_back(std::move(line));
      else
        ++dropped_;
    }
  }
}

bool Child::next(json& frame) {
  if (in_.size() < 8) return false;
  const std::uint64_t size = number_at(in_);
  if (size <= largest_frame) {
    if (in_.size() < 8 + size) return false;
    frame = json::parse(in_.begin() + 8, in_.begin() + 8 + static_cast<std::ptrdiff_t>(size), nullptr, false);
    in_.erase(0, 8 + static_cast<std::size_t>(size));
    if (frame.is_object()) return true;
  }
  garbage_ = ended_ = true;
  return false;
}

std::vector<std::string> Child::lines() {
  std::vector<std::string> out;
  out.swap(lines_);
  if (ended_ && !text_.empty()) {
    out.push_back(text_);
    last_words_.swap(text_);
    text_.clear();
  }
  return out;
}

std::int64_t Child::dropped() { return std::exchange(dropped_, 0); }

void Child::watch(std::vector<pollfd>& on) const {
  if (ended_) return;
  const short events = sent_ < out_.size() ? POLLIN | POLLOUT : POLLIN;
  on.push_back({process_.socket.get(), events, 0});
  on.push_back({process_.output.get(), POLLIN, 0});
  if (process_.pidfd) on.push_back({process_.pidfd.get(), POLLIN, 0});
}

void Child::reap(bool wait) {
  while (!reaped_) {
    const pid_t got = ::waitpid(process_.pid, &status_, wait ? 0 : WNOHANG);
    if (got == process_.pid || (got < 0 && errno == ECHILD))
      reaped_ = true;
    else if (got == 0 || errno != EINTR)
      return;
  }
}

void Child::kill() {
  if (reaped_) return;
  ::kill(-process_.pid, SIGKILL);  // the group, of which it may have left others behind; until it is reaped, it is ours
  reap(true);
  ended_ = true;
  read_output();
}

void Child::close() {
  process_.socket.reset();
  pollfd end{process_.pidfd.get(), POLLIN, 0};
  for (const auto until = Clock::now() + goodbye; Clock::now() < until;) {
    if (::poll(&end, process_.pidfd ? 1 : 0, 20) == 1) break;
    read_output();  // a full pipe would hold it up
  }
  kill();
}

std::string Child::how() const {
  std::string out;
  if (too_old()) return last_words_;
  if (garbage_) {
    out = "it wrote something into the socket of the driver (descriptor 3)";
  } else if (closed_) {
    out = "it closed the socket of the driver (descriptor 3)";
  } else if (WIFSIGNALED(status_)) {
    const int number = WTERMSIG(status_);
    const char *name = ::sigabbrev_np(number), *meaning = ::sigdescr_np(number);
    out = "the interpreter was killed by SIG" + (name ? std::string(name) : std::to_string(number)) +
          (meaning ? " (" + std::string(meaning) + ")" : "");
  } else {
    out = "the interpreter ended with exit status " + std::to_string(WEXITSTATUS(status_));
  }
  return out;
}

bool Child::too_old() const { return !ready && reaped_ && WIFEXITED(status_) && WEXITSTATUS(status_) == 78; }

std::string Child::last_words() const {
  return last_words_.empty() || too_old() ? "" : "; its last line: " + last_words_.substr(0, 500);
}

}  // namespace grpo_python
