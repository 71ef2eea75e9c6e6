#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <string>
#include <system_error>
#include <thread>

#include "grpo/sdk/error.hpp"
#include "grpo/sdk/plugins/services.hpp"

namespace grpo::plugins {
namespace {

thread_local bool inside_body = false;  // a body that calls parallel_for again runs it alone

// One parallel_for. Whoever has time takes the next piece.
struct Job {
  std::int64_t n, grain;
  const std::function<void(std::int64_t, std::int64_t)>& body;
  const std::function<bool()>& stop;
  std::int64_t next = 0;  // under the pool's mutex, as all below
  std::int64_t running = 0;
  bool stopped = false;
  std::exception_ptr error{};

  bool exhausted() const { return stopped || error || next >= n; }
};

}  // namespace

struct TaskPool::State {
  std::mutex mutex;
  std::condition_variable work, done;
  std::deque<Job*> jobs;
  std::vector<std::thread> threads;
  bool ending = false;

  // Runs one piece of the job; the lock is held on entry and on return.
  void run_piece(Job& job, std::unique_lock<std::mutex>& lock) {
    const std::int64_t begin = job.next, end = job.n - begin > job.grain ? begin + job.grain : job.n;
    job.next = end;
    ++job.running;
    lock.unlock();
    std::exception_ptr error;
    bool stopped = false;
    const bool outer = inside_body;
    inside_body = true;
    try {
      stopped = job.stop && job.stop();
      if (!stopped) job.body(begin, end);
    } catch (...) {
      error = std::current_exception();
    }
    inside_body = outer;
    lock.lock();
    if (error && !job.error) job.error = error;
    job.stopped = job.stopped || stopped;
    if (--job.running == 0 && job.exhausted()) done.notify_all();
  }

  void remove(Job* job) {
    const auto at = std::find(jobs.begin(), jobs.end(), job);
    if (at != jobs.end()) jobs.erase(at);
  }

  void worker() {
    std::unique_lock lock(mutex);
    for (;;) {
      work.wait(lock, [this] { return ending || !jobs.empty(); });
      if (ending) return;
      Job* job = jobs.front();
      if (job->exhausted()) {
        jobs.pop_front();  // its owner waits for the pieces that still run
        continue;
      }
      run_piece(*job, lock);
    }
  }

  void end() {
    {
      std::lock_guard lock(mutex);
      ending = true;
    }
    work.notify_all();
    for (std::thread& t : threads) t.join();
  }
};

TaskPool::TaskPool(int threads) : state_(std::make_unique<State>()) {
  try {
    for (int i = 1; i < threads; ++i) state_->threads.emplace_back([s = state_.get()] { s->worker(); });
  } catch (const std::system_error& e) {
    state_->end();
    throw Error("only " + std::to_string(state_->threads.size()) + " of " + std::to_string(threads) +
                " threads can be started: " + e.code().message() + ". Ask for fewer (run.threads)");
  }
}

TaskPool::~TaskPool() { state_->end(); }

int TaskPool::threads() const { return static_cast<int>(state_->threads.size()) + 1; }

bool TaskPool::parallel_for(std::int64_t n, std::int64_t grain,
                            const std::function<void(std::int64_t, std::int64_t)>& body,
                            const std::function<bool()>& stop) {
  if (n <= 0) return true;
  if (grain <= 0) grain = std::max<std::int64_t>(1, n / (std::int64_t{4} * threads()));
  Job job{n, grain, body, stop};
  std::unique_lock lock(state_->mutex);
  const bool share = !inside_body && threads() > 1 && n > grain;
  if (share) {
    state_->jobs.push_back(&job);
    state_->work.notify_all();
  }
  while (!job.exhausted()) state_->run_piece(job, lock);
  state_->done.wait(lock, [&] { return job.running == 0; });
  if (share) state_->remove(&job);
  if (job.error) std::rethrow_exception(job.error);
  return !job.stopped;
}

}  // namespace grpo::plugins
