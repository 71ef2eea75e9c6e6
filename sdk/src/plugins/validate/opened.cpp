#include "opened.hpp"

#include <dirent.h>
#include <dlfcn.h>
#include <malloc.h>

#include <chrono>
#include <fstream>
#include <thread>

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

namespace {

std::size_t heap_in_use() {
  using Count = std::size_t (*)();  // the sanitizers have a malloc of their own
  static const auto of_sanitizer =
      reinterpret_cast<Count>(::dlsym(RTLD_DEFAULT, "__sanitizer_get_current_allocated_bytes"));
  if (of_sanitizer) return of_sanitizer();
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
    if (line.starts_with("RssAnon:")) out.resident = std::stoull(line.substr(8)) * 1024;
    if (line.starts_with("VmSize:")) out.mapped = std::stoull(line.substr(7)) * 1024;
  }
  out.threads = entries_of("/proc/self/task");
  out.descriptors = entries_of("/proc/self/fd");
  return out;
}

int need_no_growth(Subject& subject, int times, const std::string& what, const std::function<void()>& body) {
  using Clock = std::chrono::steady_clock;
  const auto until = Clock::now() + std::chrono::seconds(subject.quick() ? 2 : 8);
  const int warm = std::max(4, times / 10);
  for (int i = 0; i < warm; ++i) body();
  // Both halves must have grown: caches fill once. A slow one is repeated less often.
  const Usage before = usage();
  int half = 0;
  for (; half < times / 2 && (half < 10 || Clock::now() < until); ++half) body();
  const Usage middle = usage();
  for (int i = 0; i < half; ++i) body();
  Usage after = usage();
  for (int i = 0; i < 100 && (after.threads > before.threads || after.descriptors > before.descriptors); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));  // threads end in their own time
    after = usage();
  }
  const auto n = static_cast<std::size_t>(half);
  const std::string often = what + " " + std::to_string(2 * half) + " times ";
  need(after.threads <= before.threads,
       often + "left " + std::to_string(after.threads - before.threads) + " threads behind",
       "join what open starts in close; the host's grpo.tasks/1 has threads to share");
  need(after.descriptors <= before.descriptors,
       often + "left " + std::to_string(after.descriptors - before.descriptors) + " descriptors open",
       "close in close what open opens");
  const auto grew = [&](std::size_t Usage::*what_of, std::size_t least) {
    const std::size_t floor = std::max<std::size_t>(least * n, 4096);  // what the C library does for itself
    return middle.*what_of >= before.*what_of + floor && after.*what_of >= middle.*what_of + floor;
  };
  const auto each = [&](std::size_t Usage::*what_of) {
    return std::to_string((after.*what_of - before.*what_of) / (2 * n)) + " bytes each time";
  };
  need(!grew(&Usage::heap, 8), often + "left memory behind: " + each(&Usage::heap),
       "free in close what open allocates");
  need(!grew(&Usage::resident, 1024), often + "left memory behind: " + each(&Usage::resident) + ", not from malloc",
       "unmap in close what open maps");
  return warm + 2 * half;
}

}  // namespace grpo::plugins::conformance
