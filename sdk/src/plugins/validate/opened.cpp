#include "opened.hpp"

#include <dirent.h>
#include <dlfcn.h>
#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <thread>
#include <vector>

#include "grpo/sdk/error.hpp"

namespace grpo::plugins::conformance {

Attempt::Attempt(Subject& subject, const nlohmann::json& options, const Settings& settings)
    : table_(subject.table()),
      options_(options, subject.component().options, subject.component().name),
      caller_(settings.fields),
      passed_("the grpo_options", settings.fields) {
  caller_.no_memory = settings.no_memory;
  caller_.stop = settings.cancelled;
  caller_.services = settings.services;
  const grpo_options* from = options_.get();
  passed_->host = from->host;
  passed_->json = from->json;
  passed_->number = from->number;
  passed_->integer = from->integer;
  passed_->text = from->text;
  passed_->component = subject.loaded()->entry;
  passed_.seal();
  subject.at(settings.what);
  status_ = table_->open(caller_, passed_, &handle_);
  caller_.end();
  passed_.pages().inaccessible();
}

Attempt::~Attempt() {
  if (good()) table_->close(handle_);
}

Opened::Opened(Subject& subject, const Settings& settings) : Attempt(subject, subject.options(), settings) {
  need(good(), "open: " + (error().empty() ? "it gave no reason" : error()) + " (" + status_text(status()) + ")",
       "see what it says; options are given with --options '{...}'");
}

std::vector<Fields> later_hosts(Subject& subject) {
  if (subject.loaded()->header_revision > GRPO_HEADER_REVISION) return {Fields::plain, Fields::longer};
  return {Fields::plain, Fields::longer, Fields::noisy};
}

namespace {

// The sanitizers have a malloc of their own, which keeps what was freed for a while: resident memory then says nothing.
using Count = std::size_t (*)();
Count sanitizers_count() {
  static const auto count = reinterpret_cast<Count>(::dlsym(RTLD_DEFAULT, "__sanitizer_get_current_allocated_bytes"));
  return count;
}

std::size_t heap_in_use() {
  if (const Count count = sanitizers_count()) return count();
  const struct mallinfo2 info = ::mallinfo2();
  return info.uordblks + info.hblkhd;
}

int entries_of(const char* folder) {
  DIR* open = ::opendir(folder);
  if (!open) return 0;
  int n = 0;
  while (::readdir(open)) ++n;
  ::closedir(open);
  return n;
}

}  // namespace

Usage usage() {
  Usage out;
  out.heap = heap_in_use();
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("RssAnon:") && !sanitizers_count()) out.resident = std::stoull(line.substr(8)) * 1024;
    if (line.starts_with("VmSize:")) out.mapped = std::stoull(line.substr(7)) * 1024;
  }
  out.threads = entries_of("/proc/self/task");
  out.descriptors = entries_of("/proc/self/fd");
  return out;
}

namespace {

// Threads end in their own time.
Usage settled(const Usage& before) {
  Usage now = usage();
  for (int i = 0; i < 100 && (now.threads > before.threads || now.descriptors > before.descriptors); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    now = usage();
  }
  return now;
}

// Does this number grow by at least so much from each measurement to the next?
template <class Number>
bool grows(const std::vector<Usage>& series, Number Usage::*number, Number least) {
  for (std::size_t i = 1; i < series.size(); ++i)
    if (series[i].*number < series[i - 1].*number + least) return false;
  return true;
}

}  // namespace

int need_no_growth(Subject& subject, int times, const std::string& what, const std::function<void()>& body) {
  using Clock = std::chrono::steady_clock;
  const auto until = Clock::now() + std::chrono::seconds(subject.quick() ? 2 : 8);
  for (int i = 0; i < std::max(4, times / 10); ++i) body();
  std::vector<Usage> series{usage()};
  std::size_t n = 0;  // in a stretch; a slow one is repeated less often
  for (; n < static_cast<std::size_t>(times / 2) && (n < 10 || Clock::now() < until); ++n) body();
  series.push_back(settled(series.front()));
  const std::size_t heap = std::max<std::size_t>(8 * n, 4096), resident = std::max<std::size_t>(1024 * n, 16 * 4096);
  const auto suspicious = [&] {
    return grows(series, &Usage::threads, 1) || grows(series, &Usage::descriptors, 1) ||
           grows(series, &Usage::heap, heap) || grows(series, &Usage::resident, resident);
  };
  // Caches fill up and stop; a leak goes on in every stretch.
  constexpr std::size_t most_stretches = 7;
  while (series.size() < 3 || (suspicious() && series.size() < most_stretches)) {
    for (std::size_t i = 0; i < n; ++i) body();
    series.push_back(settled(series.back()));
  }
  const std::size_t count = (series.size() - 1) * n;
  const std::string often = what + " " + std::to_string(count) + " times left ";
  const Usage &first = series.front(), &last = series.back();
  need(!grows(series, &Usage::threads, 1), often + std::to_string(last.threads - first.threads) + " threads behind",
       "join what was started; the host's grpo.tasks/1 has threads to share");
  need(!grows(series, &Usage::descriptors, 1),
       often + std::to_string(last.descriptors - first.descriptors) + " descriptors open", "close what was opened");
  need(!grows(series, &Usage::heap, heap),
       often + "memory behind: " + std::to_string((last.heap - first.heap) / count) + " bytes each time",
       "free what was allocated; what is kept must not grow with the number of calls");
  need(!grows(series, &Usage::resident, resident),
       often + "memory behind: " + std::to_string((last.resident - first.resident) / count) +
           " bytes each time, not from malloc",
       "unmap what was mapped; what is kept must not grow with the number of calls");
  return static_cast<int>(count);
}

}  // namespace grpo::plugins::conformance
