// What every component owes, whatever its kind: open, close, query, options.
#include <sys/resource.h>

#include <limits>
#include <thread>

#include "check.hpp"
#include "grpo/sdk/error.hpp"
#include "opened.hpp"

namespace grpo::plugins::conformance {
namespace {

using nlohmann::json;

// No services at all, which is what another trainer may offer.
void opens(Subject& s) { Opened handle(s); }

void closes(Subject& s) {
  const int n = need_no_growth(s, s.times(1000, 100), "opening and closing", [&] { Opened handle(s); });
  s.note = std::to_string(n) + " times";
}

void query(Subject& s) {
  Opened handle(s);
  if (!handle.table()->query) {
    need(s.component().offers.empty(), "its manifest has \"offers\", but the table's query is NULL",
         "give the table a query, or take \"offers\" out");
    return;
  }
  s.at("query");
  for (const char* id : {"grpo.no-such-interface/1", "grpo.decode/4096", "grpo.reward/1", ""})
    need(!handle.table()->query(handle.handle(), id),
         std::string("query(\"") + id + "\") gives a table for an interface that nobody defined for it",
         "compare the whole id, and answer NULL to what is not known");
  const auto& offers = s.component().offers;
  const bool decodes = handle.table()->query(handle.handle(), "grpo.decode/1");
  const bool says_so = std::find(offers.begin(), offers.end(), "grpo.decode/1") != offers.end();
  need(!decodes || says_so, "query gives grpo.decode/1, which its manifest does not offer",
       "add \"offers\": [\"grpo.decode/1\"]");
  for (const std::string& id : offers)
    if (!handle.table()->query(handle.handle(), id.c_str())) s.note += (s.note.empty() ? "not given: " : ", ") + id;
}

void fields(Subject& s) {
  for (const Fields how : later_hosts(s)) {
    Attempt::Settings settings;
    settings.fields = how;
    const Attempt a(s, s.options(), settings);
    need(a.good(), "open fails when the host's structs are longer than these headers say: " + a.error(),
         "do not compare struct_size with sizeof; test single fields with GRPO_HAS");
  }
}

void threads(Subject& s) {
  std::vector<std::thread> all;
  std::vector<std::string> why(4);
  s.loaded();
  for (std::string& text : why)
    all.emplace_back([&s, &text] {
      try {
        for (int i = 0; i < s.times(20, 5); ++i) Opened handle(s);
      } catch (const Failed& e) {
        text = e.why;
      }
    });
  for (std::thread& t : all) t.join();
  for (const std::string& text : why)
    need(text.empty(), "when four threads open at once: " + text,
         "open is [any thread]: no state outside of the handle");
}

// --- options ---

// Values that the host must refuse, by the schema.
std::vector<json> wrong_for(const json& option) {
  const std::string type = option["type"];
  std::vector<json> out;
  if (type == "string") out = {json(1), json::array()};
  if (type == "number" || type == "integer") out = {json("seven"), json::object()};
  if (type == "integer") out.push_back(0.5);
  if (type == "boolean") out = {json("yes"), json(1)};
  if (type == "list") out = {json("a"), json(1)};
  if (type == "object") out = {json("a"), json::array()};
  if (option.contains("minimum")) out.push_back(option["minimum"].get<double>() - 1);
  if (option.contains("maximum")) out.push_back(option["maximum"].get<double>() + 1);
  if (option.contains("enum") && type == "string") out.push_back("none of these");
  return out;
}

// Values that the schema allows, and that a plugin must therefore take or refuse with a message.
std::vector<json> odd_for(const json& option) {
  const std::string type = option["type"];
  std::vector<json> out;
  if (option.contains("enum")) return option["enum"];
  if (type == "boolean") return {json(true), json(false)};
  if (type == "string")
    return {json(""), json("/nowhere/at all"), json("\xF0\x9F\xA6\x86 (\\\"\n"), json(std::string(5000, 'x'))};
  if (type == "list") return {json::array(), json{1, "a", json::array()}};
  if (type == "object") return {json::object(), json{{"a", {{"b", 1}}}}};
  if (option.contains("minimum")) out.push_back(option["minimum"]);
  if (option.contains("maximum")) out.push_back(option["maximum"]);
  if (type == "integer") {
    if (!option.contains("minimum")) out.insert(out.end(), {json(-1), json(std::numeric_limits<std::int64_t>::min())});
    if (!option.contains("maximum")) out.push_back(std::numeric_limits<std::int64_t>::max());
  } else {
    if (!option.contains("minimum")) out.push_back(-1e300);
    if (!option.contains("maximum")) out.push_back(1e300);
  }
  const auto zero = [&] {
    return (!option.contains("minimum") || option["minimum"].get<double>() <= 0) &&
           (!option.contains("maximum") || option["maximum"].get<double>() >= 0);
  };
  if (zero()) out.push_back(0);
  return out;
}

std::string shown(const std::string& key, const json& value) {
  const std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
  return "'" + key + "': " + (text.size() > 60 ? text.substr(0, 60) + "..." : text);
}

void need_refused(Subject& s, const std::string& key, const json& value) {
  json options = s.options();
  options[key] = value;
  try {
    const Options checked(options, s.component().options, s.component().name);
  } catch (const Error& e) {
    need(std::string(e.what()).find(key) != std::string::npos,
         "the refusal of " + shown(key, value) + " does not name it", "");
    return;
  }
  throw Failed{"the schema lets " + shown(key, value) + " pass",
               "state type, minimum, maximum or enum in the manifest"};
}

// Not more memory than a mistaken number should get: an allocation beyond it fails and must become a message.
class MemoryLimit {
 public:
  MemoryLimit() {
    if (::getenv("ASAN_OPTIONS") || ::getenv("TSAN_OPTIONS")) return;  // they map far more than they use
    ::getrlimit(RLIMIT_AS, &before_);
    rlimit limit = before_;
    limit.rlim_cur = std::min<rlim_t>(before_.rlim_max, usage().mapped + (std::size_t{2} << 30));
    limited_ = ::setrlimit(RLIMIT_AS, &limit) == 0;
  }
  ~MemoryLimit() {
    if (limited_) ::setrlimit(RLIMIT_AS, &before_);
  }
  MemoryLimit(const MemoryLimit&) = delete;
  MemoryLimit& operator=(const MemoryLimit&) = delete;

 private:
  rlimit before_{};
  bool limited_ = false;
};

void options(Subject& s) {
  s.loaded();
  const MemoryLimit limit;
  const json& schema = s.component().options;
  need_refused(s, "no_such_option_", 1);
  int refused = 1, opened = 0, declined = 0;
  for (const auto& [key, option] : schema.items()) {
    for (const json& value : wrong_for(option)) need_refused(s, key, value), ++refused;
    for (const json& value : odd_for(option)) {
      json options = s.options();
      options[key] = value;
      const Attempt a(s, options, {.what = "open with " + shown(key, value) + ", which its schema allows"});
      ++(a.good() ? opened : declined);
      need(a.good() || !a.error().empty(),
           "open refuses " + shown(key, value) + ", which its schema allows, without a message (" +
               status_text(a.status()) + ")",
           "state the limit in the manifest, or say why with call->fail");
    }
  }
  s.note = std::to_string(refused) + " wrong values refused by the schema; of odd ones it allows " +
           std::to_string(opened) + " opened, " + std::to_string(declined) + " were refused with a message";
}

// An open that fails, for whatever reason: found by trying.
bool fails(Subject& s, json& options, Attempt::Settings& settings) {
  const json& schema = s.component().options;
  for (const auto& [key, option] : schema.items())
    for (const json& value : odd_for(option)) {
      options = s.options();
      options[key] = value;
      if (!Attempt(s, options, settings).good()) return true;
    }
  options = s.options();
  settings.cancelled = true;
  if (!Attempt(s, options, settings).good()) return true;
  settings.cancelled = false;
  settings.no_memory = true;
  return !Attempt(s, options, settings).good();
}

void failed_open(Subject& s) {
  s.loaded();
  json options;
  Attempt::Settings settings;
  {
    const MemoryLimit limit;
    if (!fails(s, options, settings)) throw Skipped{"no option that its schema allows makes open fail"};
    const int n = need_no_growth(s, s.times(300, 60), "failing to open", [&] { Attempt(s, options, settings); });
    s.note = std::to_string(n) + " times";
  }
  Opened good(s);  // and nothing is broken
}

constexpr Check all[] = {
    {"component.open", "component", "it opens without any service of the host, and keeps nothing of the call", opens},
    {"component.close", "component", "open and close, 1,000 times, leave no memory, thread or descriptor", closes},
    {"component.query", "component", "query gives what the manifest offers, NULL for the rest", query},
    {"component.fields", "component", "structs of a later host open as well; none is read past its size", fields},
    {"component.threads", "component", "four threads may open and close at once", threads},
    {"component.options", "component", "wrong options are refused with a message; what the schema allows never crashes",
     options},
    {"component.failed_open", "component", "an open that fails leaves nothing behind", failed_open},
};

}  // namespace

std::span<const Check> component_checks() { return all; }

}  // namespace grpo::plugins::conformance
