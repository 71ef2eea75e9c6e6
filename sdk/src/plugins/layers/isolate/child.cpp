#include "child.hpp"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "control.pb.h"
#include "grpo/sdk/error.hpp"
#include "grpo/sdk/plugins/call.hpp"
#include "helper.hpp"
#include "host/modes.hpp"
#include "utf8.hpp"

namespace grpo::plugins::isolate {
namespace {

constexpr int slice_ms = 50;
constexpr std::int64_t most_lines = 200;  // of grpo.log/1 in a call
constexpr std::int64_t second_ns = 1'000'000'000;

// Two connected sockets; high enough that none of them lies where the child wants another.
void connect_pair(int type, Descriptor& ours, Descriptor& theirs) {
  int ends[2];
  if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) != 0)
    throw Error(std::string("cannot make a socket: ") + std::strerror(errno));
  Descriptor first(ends[0]), second(ends[1]);
  ours = Descriptor(::fcntl(first.get(), F_DUPFD_CLOEXEC, 10));
  theirs = Descriptor(::fcntl(second.get(), F_DUPFD_CLOEXEC, 10));
  if (!ours || !theirs)  // EINVAL: 10 is beyond the limit on descriptors
    throw Error(std::string("cannot make a socket: ") + std::strerror(errno == EINVAL ? EMFILE : errno));
}

std::string gib(std::int64_t bytes) {
  const auto tenths = std::llround(static_cast<double>(bytes) / 1073741824.0 * 10);
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " GiB";
}

std::string signal_text(int number) {
  const char* name = ::sigabbrev_np(number);
  const char* meaning = ::sigdescr_np(number);
  return "SIG" + (name ? std::string(name) : std::to_string(number)) +
         (meaning ? " (" + std::string(meaning) + ")" : "");
}

}  // namespace

HostServices::HostServices(const grpo_call* call) {
  if (!call) return;
  const auto service = [call](const char* id) { return call->service ? call->service(call, id) : nullptr; };
  log = static_cast<const grpo_log*>(service(GRPO_LOG_ID));
  metrics = static_cast<const grpo_metrics*>(service(GRPO_METRICS_ID));
  tokenizer = static_cast<const grpo_tokenizer*>(service(GRPO_TOKENIZER_ID));
}

void HostServices::write(std::int32_t level, const std::string& line) const {
  if (log && level >= log->level) log->write(log, level, line.data(), static_cast<std::int64_t>(line.size()));
}

Child::Child(const std::string& program, const Component& what, const IsolateSettings& settings) {
  start(program, settings);
  wire::ToChild message;
  message.mutable_start()->set_path(what.path);
  message.mutable_start()->set_interface_id(what.manifest.interface_id);
  message.mutable_start()->set_name(what.manifest.name);
  message.mutable_start()->set_host_name("grpo");
  send(message, monotonic_now_ns() + 10 * second_ns);  // should it be gone already, `wait` says so
}

void Child::start(const std::string& program, const IsolateSettings& settings) {
  Descriptor socket, report_socket;
  Descriptor work;
  connect_pair(SOCK_STREAM, work, socket);
  connect_pair(SOCK_SEQPACKET, reports_, report_socket);
  channel_ = Channel(std::move(work), true);
  const auto memory = static_cast<std::int64_t>(settings.memory_gib * 1073741824.0);
  supervisor_ = Start({program, "supervise", std::to_string(::getpid()), std::to_string(memory),
                       std::to_string(settings.processes)})
                    .open(0, "/dev/null", O_RDONLY)
                    .open(1, "/dev/null", O_WRONLY)
                    .give(1, 2)
                    .give(report_socket.get(), 3)
                    .give(socket.get(), 4)
                    .default_signals()
                    .own_session()  // an interrupt is the host's to act on
                    .run();
}

Child::~Child() {
  end();
  // The report that the rest is gone is the last that it does; if it never came, nothing else helps.
  if (!ended_) ::kill(supervisor_, SIGKILL);
  int status = 0;
  while (::waitpid(supervisor_, &status, 0) < 0 && errno == EINTR) {
  }
}

bool Child::send(const wire::ToChild& message, std::int64_t deadline_ns, int descriptor) {
  std::lock_guard lock(send_mutex_);
  lines_left_.store(most_lines, std::memory_order_relaxed);
  return channel_.send(message, deadline_ns, descriptor);
}

Child::Wait Child::wait(wire::ToHost& message, std::int64_t deadline_ns) {
  for (bool reported = ended_;;) {
    const auto got = channel_.receive(message);
    if (got == Channel::Got::message) {
      if (serve(message)) continue;
      return Wait::message;
    }
    if (got != Channel::Got::nothing) {
      // Its end, seen from here; the report of it is on its way. If none comes, the process lives on without us.
      garbled_ = got == Channel::Got::garbage;
      pollfd report{reports_.get(), POLLIN, 0};
      const std::int64_t patience = monotonic_now_ns() + second_ns / 2;
      while (!garbled_ && !read_reports() && monotonic_now_ns() < patience) ::poll(&report, 1, slice_ms);
      const bool by_itself = ended_;
      end();
      if (!by_itself)
        how_ = garbled_ ? "its process wrote something of its own to the socket of the host, and was killed"
                        : "its process closed its connection to the host, and was killed";
      return Wait::ended;
    }
    if (reported && read_reports()) {
      if (channel_.receive(message) == Channel::Got::message && !serve(message)) return Wait::message;
      return Wait::ended;
    }
    const std::int64_t now = monotonic_now_ns();
    if (deadline_ns != 0 && now >= deadline_ns) return Wait::late;
    const std::int64_t left = deadline_ns != 0 ? (deadline_ns - now) / 1'000'000 + 1 : slice_ms;
    pollfd fds[2] = {{channel_.fd(), POLLIN, 0}, {reports_.get(), POLLIN, 0}};
    ::poll(fds, 2, static_cast<int>(std::min<std::int64_t>(left, slice_ms)));
    reported = fds[1].revents != 0;
  }
}

bool Child::has_ended() { return ended_ || read_reports(); }

// Reads what has been reported; true: the end.
bool Child::read_reports() {
  char bytes[32 * 1024];  // the watching process sends half as much at most
  while (!ended_) {
    const ssize_t n = ::recv(reports_.get(), bytes, sizeof bytes, MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    wire::Report report;
    if (n == 0 || !report.ParseFromArray(bytes, static_cast<int>(n))) {
      ended_ = true;
      how_ = "the process that watches over it was ended from outside";
    } else if (report.has_output()) {
      log_output(report.output().text(), report.output().left_out());
    } else if (report.has_ended()) {
      tell(report.ended());
    }
  }
  return true;
}

void Child::tell(const wire::Ended& ended) {
  ended_ = true;
  const int status = ended.wait_status();
  switch (ended.cause()) {
    case wire::Ended::NOT_STARTED:
      how_ = ended.error();
      return;
    case wire::Ended::MEMORY:
      how_ = "its process was killed because it held " + gib(ended.amount()) + ", more than its limit";
      break;
    case wire::Ended::PROCESSES:
      how_ = "its process was killed because it had started " + std::to_string(ended.amount()) +
             " processes, more than its limit";
      break;
    case wire::Ended::ASKED:
      how_ = "its process was killed";
      break;
    default:
      if (WIFEXITED(status) && WEXITSTATUS(status) == lost_connection) {
        how_ = "its process closed its connection to the host";
        break;
      }
      how_ = WIFSIGNALED(status) ? "its process was killed by " + signal_text(WTERMSIG(status))
                                 : "its process called exit(" + std::to_string(WEXITSTATUS(status)) + ")";
  }
  if (const std::string words = one_line(ended.last_words()); !words.empty()) how_ += "; it wrote: " + words;
}

void Child::end() {
  if (ended_) return;
  ::shutdown(reports_.get(), SHUT_WR);  // which is how it is asked
  const std::int64_t patience = monotonic_now_ns() + 60 * second_ns;
  pollfd report{reports_.get(), POLLIN, 0};
  while (!read_reports() && monotonic_now_ns() < patience) ::poll(&report, 1, slice_ms);
}

// Is it a question or a line? Answers it.
bool Child::serve(wire::ToHost& message) {
  if (message.has_line()) {
    const std::int64_t left = lines_left_.fetch_sub(1, std::memory_order_relaxed);
    if (left > 0)
      services_.write(message.line().level(), message.line().text());
    else if (left == 0)
      services_.write(GRPO_LOG_WARNING, "it logs more than " + std::to_string(most_lines) +
                                            " lines in a call; the rest of them is left out");
    return true;
  }
  if (!message.has_tokens()) return false;
  answer(message.tokens());
  return true;
}

void Child::answer(const wire::TokensQuestion& q) {
  wire::ToChild message;
  wire::TokensAnswer& out = *message.mutable_tokens();
  out.set_size(-1);
  const grpo_tokenizer* t = services_.tokenizer;
  if (t && q.decode()) {
    const auto ask = [&](char* text, std::int64_t room) {
      return t->decode(t, q.flags(), q.ids().data(), q.ids_size(), text, room);
    };
    const std::int64_t size = ask(nullptr, 0);
    if (size >= 0) {
      out.mutable_text()->resize(static_cast<std::size_t>(size));
      out.set_size(ask(out.mutable_text()->data(), size));
    }
  } else if (t) {
    const auto ask = [&](std::int32_t* ids, std::int64_t room) {
      return t->encode(t, q.flags(), q.text().data(), static_cast<std::int64_t>(q.text().size()), ids, room);
    };
    const std::int64_t size = ask(nullptr, 0);
    if (size >= 0) {
      out.mutable_ids()->Resize(static_cast<int>(size), 0);
      out.set_size(ask(out.mutable_ids()->mutable_data(), size));
    }
  }
  std::lock_guard lock(send_mutex_);
  channel_.send(message, monotonic_now_ns() + 10 * second_ns);
}

void Child::log_output(const std::string& text, std::uint64_t left_out) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    if (const std::string line = one_line(text.substr(at, end - at)); !line.empty())
      services_.write(GRPO_LOG_INFO, "wrote: " + line);
    at = end + 1;
  }
  if (left_out > 0)
    services_.write(GRPO_LOG_WARNING, "wrote " + std::to_string(left_out) + " bytes more, which are left out");
}

}  // namespace grpo::plugins::isolate
