#include "scoring.hpp"

#include <poll.h>

#include <cmath>
#include <deque>

#include "request.hpp"

namespace grpo_python {
namespace {

constexpr int slice_ms = 50;                              // how often cancelled() is asked
constexpr auto soon = std::chrono::milliseconds(5);       // a piece that takes less doubles the next
constexpr auto patience = std::chrono::milliseconds(20);  // then other children may help
constexpr std::size_t first_piece = 4;

double seconds_since(Clock::time_point since) { return std::chrono::duration<double>(Clock::now() - since).count(); }

std::string seconds_text(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g s", seconds);
  return text;
}

void log_lines(Child& child, const Context& context) {
  for (const std::string& line : child.lines()) context.host.log(GRPO_LOG_INFO, line);
  if (const auto n = child.dropped())
    context.host.log(GRPO_LOG_WARNING, std::to_string(n) + " more lines of its output were left out");
}

// A traceback in the log, once; the sample carries the line.
void log_trace(const json& frame, const Context& context) {
  const std::string trace = frame.value("trace", "");
  if (!trace.empty() && context.pool.first(trace)) context.host.log(GRPO_LOG_WARNING, trace);
}

// The first frame of a child.
void read_ready(Child& child, const json& frame, const Context& context) {
  if (frame.contains("refused")) {
    const std::string trace = frame.value("trace", "");
    std::string text = context.function + ": " + frame["refused"].get<std::string>();
    if (text.find("ModuleNotFoundError") != text.npos)  // mostly it is there, for another interpreter
      text += "; asked in " + context.pool.python() +
              ": install it there, or name the interpreter that has it, or its virtual environment, with the option "
              "`python`";
    child.kill();
    throw grpo::failure(GRPO_STATUS_INVALID, trace.empty() ? text : text + "\n" + trace);
  }
  child.function = {frame.value("style", ""), frame.value("version", ""), frame.value("batch", false),
                    frame.value("whole", false), frame.value("ids", false)};
  child.ready = true;
}

// A child at work, with the piece that it has.
struct Worker {
  explicit Worker(Pool::Slot&& slot) : slot(std::move(slot)) {}
  Pool::Slot slot;
  std::size_t begin = 0, end = 0;  // samples of the piece
  std::vector<bool> answered;      // [end - begin]
  bool busy = false;
  Clock::time_point asked, heard;
  Child& child() { return *slot.child; }
};

class Run {
 public:
  Run(const grpo::batch& batch, const Context& context) : batch_(batch), context_(context) {}
  void go();

 private:
  void add(Pool::Slot&& slot) { workers_.push_back(std::make_unique<Worker>(std::move(slot))); }
  void ask(Worker& w);
  void listen();
  void turn(Worker& w);
  void take(Worker& w, const json& frame);
  void result(Worker& w, const json& one);
  void lost(Worker& w, const std::string& why, std::int32_t status);
  void late(Worker& w);
  void call_for_help();
  void stop();
  bool waiting() const { return next_ < batch_.size() || !again_.empty(); }
  bool anybody_busy() const;

  const grpo::batch& batch_;
  const Context& context_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::size_t next_ = 0, piece_ = first_piece;
  std::deque<std::pair<std::size_t, std::size_t>> again_;  // what is left of a lost child's piece
  bool whole_ = true;                                      // until a child has said otherwise
  Clock::time_point began_ = Clock::now();
};

void Run::go() {
  add(context_.pool.take(batch_.call()));
  try {
    for (;;) {
      for (auto& w : workers_) {
        if (w->child().ended() && waiting()) w->slot.child = context_.pool.start();
        if (!w->busy && w->child().ready && waiting()) ask(*w);
      }
      if (!anybody_busy() && !waiting()) return;
      listen();
      for (auto& w : workers_) turn(*w);
      call_for_help();
      if (batch_.call().cancelled()) stop();
    }
  } catch (...) {
    // Whoever is still at work is at something that nobody waits for.
    for (auto& w : workers_)
      if (w->slot.child && w->busy) w->child().kill();
    throw;
  }
}

bool Run::anybody_busy() const {
  for (const auto& w : workers_)
    if (w->busy) return true;
  return false;
}

void Run::ask(Worker& w) {
  const Function& f = w.child().function;
  whole_ = f.whole;
  if (!again_.empty()) {
    std::tie(w.begin, w.end) = again_.front();
    again_.pop_front();
  } else {
    w.begin = next_;
    w.end = f.whole ? batch_.size() : std::min(batch_.size(), next_ + piece_);
    next_ = w.end;
  }
  w.answered.assign(w.end - w.begin, false);
  const Request r = request_of(*batch_.raw(), w.begin, w.end, f.ids);
  w.child().send(r.message, r.ids);
  w.child().pump();
  w.asked = w.heard = Clock::now();
  w.busy = true;
}

void Run::listen() {
  std::vector<pollfd> on;
  for (const auto& w : workers_)
    if (w->busy || !w->child().ready) w->child().watch(on);
  int wait = slice_ms;
  if (context_.call_timeout > 0) wait = std::min(wait, static_cast<int>(std::ceil(context_.call_timeout * 500)));
  ::poll(on.data(), on.size(), wait);
}

void Run::turn(Worker& w) {
  Child& child = w.child();
  child.pump();
  log_lines(child, context_);
  json frame;
  while (child.next(frame)) {
    if (!child.ready)
      read_ready(child, frame, context_);
    else if (w.busy)
      take(w, frame);
  }
  log_lines(child, context_);
  if (child.ended()) {
    if (w.busy) return lost(w, child.how(), GRPO_SAMPLE_ERROR);
    if (!child.ready && waiting()) throw grpo::failure(context_.function + ": " + child.how() + child.last_words());
    return;
  }
  if (!child.ready && seconds_since(child.since) > context_.start_timeout) {
    child.kill();
    throw grpo::failure(context_.function + ": it was not imported within " + seconds_text(context_.start_timeout) +
                        " (the option `start_timeout`)");
  }
  if (w.busy && context_.call_timeout > 0 && seconds_since(w.heard) > context_.call_timeout) late(w);
}

void Run::take(Worker& w, const json& frame) {
  w.heard = Clock::now();
  if (const auto results = frame.find("results"); results != frame.end())
    for (const json& one : *results) result(w, one);
  if (frame.contains("all")) {
    log_trace(frame, context_);
    const std::string why = frame["all"].get<std::string>();
    for (std::size_t i = w.begin; i < w.end; ++i)
      if (!w.answered[i - w.begin]) batch_.fail(i, why);
    w.answered.assign(w.end - w.begin, true);
  }
  if (!frame.contains("done")) return;
  if (const auto metrics = frame.find("metrics"); metrics != frame.end())
    for (const auto& [name, value] : metrics->items()) context_.host.metric(name.c_str(), value.get<double>());
  w.busy = false;
  if (Clock::now() - w.asked < soon) piece_ *= 2;
}

void Run::result(Worker& w, const json& one) {
  const auto at = one.at("i").get<std::size_t>();
  if (at >= w.answered.size()) return;
  const std::size_t i = w.begin + at;
  w.answered[at] = true;
  if (one.contains("error")) {
    log_trace(one, context_);
    return batch_.fail(i, one["error"].get<std::string>());
  }
  const json& score = one.at("score");
  batch_.set(i, score.is_null() ? grpo::not_applicable : grpo::score(score.get<double>()));
  for (const auto& [name, value] : one.at("parts").items()) batch_[i].component(name.c_str(), value.get<double>());
}

// The child is gone. A function that takes one sample at a time was at the first that has no answer.
void Run::lost(Worker& w, const std::string& why, std::int32_t status) {
  w.busy = false;
  std::size_t i = w.begin;
  while (i < w.end && w.answered[i - w.begin]) ++i;
  const std::size_t end = w.child().function.whole ? w.end : std::min(i + 1, w.end);
  const std::string text = why +
                           (w.child().function.batch ? " while it scored this batch" : " while it scored this sample") +
                           w.child().last_words();
  for (; i < end; ++i)
    if (!w.answered[i - w.begin]) batch_.fail(i, text, status);
  if (i < w.end) again_.emplace_back(i, w.end);
  context_.host.log(GRPO_LOG_WARNING, text + "; a new one is started");
}

void Run::late(Worker& w) {
  w.child().kill();
  log_lines(w.child(), context_);
  lost(w, "took longer than " + seconds_text(context_.call_timeout) + " (the option `call_timeout`) and was ended",
       GRPO_SAMPLE_TIMEOUT);
}

void Run::call_for_help() {
  if (whole_ || !waiting() || Clock::now() - began_ < patience) return;
  for (const auto& w : workers_)
    if (!w->busy) return;
  if (auto slot = context_.pool.take_if_free()) add(std::move(*slot));
}

// The deadline, or the user: no answer is waited for. The new children are ready when the next call comes.
void Run::stop() {
  for (auto& w : workers_) {
    if (!w->busy) continue;
    w->child().kill();
    log_lines(w->child(), context_);
    lost(*w, "was still at work when its time was over, and was ended", GRPO_SAMPLE_TIMEOUT);
    w->slot.child = context_.pool.start();
  }
  batch_.call().stop_if_asked();
}

}  // namespace

void await_ready(Child& child, const Context& context, const grpo::call& call) {
  struct KilledUnlessReady {  // whoever is still at an import that nobody waits for is not asked to end by itself
    Child& child;
    ~KilledUnlessReady() {
      if (!child.ready) child.kill();
    }
  } const guard{child};
  json frame;
  while (!child.ready) {
    std::vector<pollfd> on;
    child.watch(on);
    ::poll(on.data(), on.size(), slice_ms);
    child.pump();
    if (child.next(frame)) {
      log_lines(child, context);
      read_ready(child, frame, context);
      return;
    }
    log_lines(child, context);
    if (child.ended()) throw grpo::failure(context.function + ": " + child.how() + child.last_words());
    call.stop_if_asked();
    if (seconds_since(child.since) > context.start_timeout)
      throw grpo::failure(context.function + ": it was not imported within " + seconds_text(context.start_timeout) +
                          " (the option `start_timeout`)");
  }
}

void score(const grpo::batch& batch, const Context& context) {
  if (batch.size() > 0) Run(batch, context).go();
}

}  // namespace grpo_python
