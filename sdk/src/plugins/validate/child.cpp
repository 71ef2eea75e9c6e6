#include "child.hpp"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <exception>

#include "check.hpp"
#include "grpo/sdk/plugins/validate.hpp"
#include "pages.hpp"

namespace grpo::plugins::conformance {
namespace {

using nlohmann::json;

std::string line(const char* kind, const char* id, Verdict verdict, const std::string& why,
                 const std::string& way_out) {
  return json{{kind, id}, {"verdict", verdict_name(verdict)}, {"why", why}, {"way_out", way_out}}.dump(
      -1, ' ', false, json::error_handler_t::replace);
}

void run(const Check& check, Subject& subject) {
  tell_parent(json{{"begin", check.id}}.dump());
  subject.note.clear();
  const bool ends_process = std::string(check.id) == "library.exit";
  const char* kind = ends_process ? "ending" : "end";
  std::string text;
  try {
    check.run(subject);
    text = line(kind, check.id, Verdict::pass, subject.note, "");
  } catch (const Failed& e) {
    text = line(kind, check.id, Verdict::fail, e.why, e.way_out);
  } catch (const Skipped& e) {
    text = line(kind, check.id, Verdict::skipped, e.why, "");
  } catch (const std::exception& e) {
    text = line(kind, check.id, Verdict::fail, e.what(), "");
  }
  tell_parent(text);
  if (!ends_process) return;
  subject.at("ending the process (destructors of static objects, atexit)");
  std::exit(0);
}

}  // namespace

int run_job(const std::string& text) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  install_fault_handler();
  const json job = json::parse(text);
  Subject subject(job["file"], job["interface"], job["name"], job["options"], job["quick"]);
  const auto all = all_checks();
  for (const json& id : job["checks"])
    for (const Check& check : all)
      if (id == check.id) run(check, subject);
  std::fflush(nullptr);
  ::_exit(0);  // how the library ends is the matter of library.exit
}

}  // namespace grpo::plugins::conformance
