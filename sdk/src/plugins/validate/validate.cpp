#include "grpo/sdk/plugins/validate.hpp"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "../helper.hpp"
#include "check.hpp"
#include "grpo/sdk/error.hpp"
#include "grpo/sdk/plugins/manifest.hpp"
#include "process.hpp"
#include "quirks.hpp"
#include "tiny_model.hpp"

namespace grpo::plugins {

using nlohmann::json;

namespace conformance {
namespace {

// A library that takes longer to load than this is loaded once for all checks and not once for each.
constexpr double quick_to_load = 0.4;

struct Target {
  std::string interface_id, name;
  json options;
  std::vector<Check> checks;
};

class Run {
 public:
  Run(const std::string& path, const ValidateSettings& settings, Validation& into)
      : path_(std::filesystem::absolute(path).string()),
        settings_(settings),
        helper_(find_helper("grpo-plugin-check", settings.helper, "checks a plugin in a process of its own")),
        into_(into) {}

  // share: all in one process, as long as it lives.
  void run(const Target& target, bool share) {
    hung_ = false;
    std::vector<Check> left = target.checks;
    while (!left.empty()) {
      const std::size_t n = share ? left.size() : 1;
      const std::size_t done = run_some(target, std::vector<Check>(left.begin(), left.begin() + static_cast<long>(n)));
      left.erase(left.begin(), left.begin() + static_cast<long>(done));
    }
  }

  void add(const std::string& component, const Check& check, Verdict verdict, std::string why, std::string way_out,
           double seconds) {
    if (verdict == Verdict::pass) slowest_ = std::max(slowest_, seconds);
    into_.results.push_back({component, check.id, check.what, verdict, std::move(why), std::move(way_out), seconds});
    if (settings_.on_result) settings_.on_result(into_.results.back());
  }

 private:
  // Returns how many of them have a result now: at least one.
  std::size_t run_some(const Target& target, const std::vector<Check>& checks) {
    json ids = json::array();
    for (const Check& c : checks) ids.push_back(c.id);
    const json job{{"file", path_},
                   {"interface", target.interface_id},
                   {"name", target.name},
                   {"options", target.options},
                   {"quick", settings_.quick},
                   {"checks", ids}};
    std::size_t done = 0;
    std::string at, fault;
    json last;
    auto since = std::chrono::steady_clock::now();
    const auto seconds = [&] {
      return std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count();
    };
    const auto on_line = [&](const std::string& text) {
      const json line = json::parse(text, nullptr, false);
      if (!line.is_object()) return false;
      if (line.contains("at")) at = line["at"].get<std::string>();
      if (line.contains("fault")) fault = line["fault"].get<std::string>();
      if (line.contains("begin")) since = std::chrono::steady_clock::now(), at.clear(), fault.clear();
      if (line.contains("end") && done < checks.size()) add_line(target, checks[done++], line, seconds());
      if (line.contains("ending")) last = line;
      return line.contains("begin") || line.contains("end");
    };
    const double limit = patience();
    const Ending ending = run_child(helper_, job.dump(), limit, on_line);
    if (done == checks.size()) return done;
    if (last.is_object() && !ending.late && !ending.signal && ending.code == 0) {
      add_line(target, checks[done], last, seconds());
      return done + 1;
    }
    if (ending.late && limit < settings_.timeout_seconds) {
      add(target.name, checks[done], Verdict::skipped, not_waited_for(limit, checks[done].id), "", seconds());
      return done + 1;
    }
    if (ending.late && !hung_) {
      hung_ = true;
      first_hang_ = checks[done].id;
    }
    add(target.name, checks[done], Verdict::fail, story(ending, at, fault), way_out(ending, fault), seconds());
    return done + 1;
  }

  // How long the next check may take. Of a component that hung once, the others most likely hang too: they get the time
  // that sound checks took, several times over, and say so if it was not enough.
  double patience() const {
    if (!hung_) return settings_.timeout_seconds;
    constexpr double least = 2, times = 5;
    return std::min(settings_.timeout_seconds, std::max(least, times * slowest_));
  }

  std::string not_waited_for(double limit, const std::string& check) const {
    char text[200];
    std::snprintf(text, sizeof text, "not waited for longer than %.3g s, since %s hung; `--only %s` gives it %g s",
                  limit, first_hang_.c_str(), check.c_str(), settings_.timeout_seconds);
    return text;
  }

  void add_line(const Target& target, const Check& check, const json& line, double seconds) {
    const Verdict verdict = line["verdict"] == "pass"   ? Verdict::pass
                            : line["verdict"] == "fail" ? Verdict::fail
                                                        : Verdict::skipped;
    add(target.name, check, verdict, line["why"], line["way_out"], seconds);
  }

  std::string story(const Ending& e, const std::string& at, const std::string& fault) const {
    std::string out;
    if (e.late) {
      char text[64];
      std::snprintf(text, sizeof text, "did not come back within %g s", settings_.timeout_seconds);
      out = text;
    } else if (e.signal) {
      out = "crashed (" + signal_name(e.signal) + ")";
    } else {
      out = "ended the process (exit status " + std::to_string(e.code) + ")";
    }
    if (!fault.empty()) out += ": it " + fault;
    if (!at.empty()) out += "; it was at: " + at;
    if (!e.last_words.empty()) out += "; it wrote: " + e.last_words;
    return out;
  }

  static std::string way_out(const Ending& e, const std::string& fault) {
    if (fault.find("stack") != fault.npos)
      return "recursion that goes as deep as its input is long, as std::regex has it: loops, or a limit on the text";
    if (!fault.empty()) return "stay within the arrays that the host gives, and keep no pointer to them after the call";
    if (e.late) return "return in bounded time; ask call->cancelled in loops (or give more time: --timeout)";
    if (e.signal) return "run this check under a debugger or a sanitizer: --only with its name";
    return "a plugin never calls exit: report with call->fail";
  }

  std::string path_;
  const ValidateSettings& settings_;
  std::string helper_;
  Validation& into_;
  bool hung_ = false;       // a check of this component
  std::string first_hang_;  // the check
  double slowest_ = 0;      // seconds of the longest check that passed
};

bool wanted(const std::vector<std::string>& only, const std::string& id) {
  return only.empty() || std::any_of(only.begin(), only.end(),
                                     [&](const std::string& o) { return id == o || id.starts_with(o + "."); });
}

std::vector<Check> chosen(std::span<const Check> all, const ValidateSettings& settings) {
  std::vector<Check> out;
  for (const Check& c : all)
    if (wanted(settings.only, c.id)) out.push_back(c);
  return out;
}

void check_settings(const std::string& path, const ValidateSettings& settings, const json& options) {
  if (!std::filesystem::is_regular_file(path)) throw Error(path + ": no such file");
  if (!options.is_object())
    throw Error("the options are not a JSON object, such as '{\"wrong\": -1}': " + settings.options);
  const auto all = all_checks();
  for (const std::string& only : settings.only)
    if (std::none_of(all.begin(), all.end(), [&](const Check& c) { return wanted({only}, c.id); }))
      throw Error("there is no check '" + only + "'; `plugins validate --list` shows all");
}

std::vector<Check> checks_of(const std::string& interface_id, const ValidateSettings& settings) {
  std::vector<Check> out = chosen(component_checks(), settings);
  std::span<const Check> own;
  if (interface_id == "grpo.reward/1") own = reward_checks();
  if (interface_id == "grpo.sampler/1") own = sampler_checks();
  if (interface_id == "grpo.model/1") own = model_checks();
  if (interface_id == "grpo.optimizer/1") own = optimizer_checks();
  const auto more = chosen(own, settings);
  out.insert(out.end(), more.begin(), more.end());
  return out;
}

// The first option that must be given and is not.
std::string missing_option(const ComponentManifest& component, const json& options) {
  for (const auto& [key, option] : component.options.items())
    if (option.value("required", false) && !options.contains(key)) return key;
  return {};
}

// Whether the libraries that a plugin brings along make it slow to load.
bool slow_to_load(const Validation& v) {
  return std::any_of(v.results.begin(), v.results.end(),
                     [](const ValidationResult& r) { return r.check == "library.loads" && r.seconds > quick_to_load; });
}

bool failed(const Validation& v, const std::string& id) {
  return std::any_of(v.results.begin(), v.results.end(),
                     [&](const ValidationResult& r) { return r.check == id && r.verdict == Verdict::fail; });
}

void run_component(Run& run, const ComponentManifest& component, const Quirks& quirks, json options, bool share,
                   const ValidateSettings& settings) {
  Target target{component.interface_id, component.name, {}, {}};
  std::optional<TinyModel> tiny;
  if (TinyModel::fits(component, options)) options["path"] = tiny.emplace().path();
  const std::string missing = missing_option(component, options);
  for (const Check& check : checks_of(component.interface_id, settings)) {
    const std::string quirk = quirks.reason(component, check.id);
    if (!quirk.empty()) {
      run.add(component.name, check, Verdict::skipped, "its manifest says: " + quirk, "", 0);
    } else if (!missing.empty()) {
      run.add(component.name, check, Verdict::skipped,
              "open needs the option '" + missing + "': give it with --options '{\"" + missing + "\": ...}'", "", 0);
    } else {
      target.checks.push_back(check);
    }
  }
  target.options = std::move(options);
  run.run(target, share);
}

}  // namespace
}  // namespace conformance

Validation validate(const std::string& path, const ValidateSettings& settings) {
  using namespace conformance;
  const json options = settings.options.empty() ? json::object() : json::parse(settings.options, nullptr, false);
  check_settings(path, settings, options);
  Validation out;
  out.path = path;
  std::optional<Manifest> manifest;
  try {
    manifest = read_manifest(path);
    out.plugin = manifest->name;
    out.version = manifest->version;
  } catch (const Error&) {  // library.manifest says so
  }
  if (manifest && !settings.component.empty() &&
      std::none_of(manifest->components.begin(), manifest->components.end(),
                   [&](const ComponentManifest& c) { return c.name == settings.component; }))
    throw Error(path + ": has no component '" + settings.component + "'");

  Run run(path, settings, out);
  Target library{"", "", json::object(), chosen(library_checks(), settings)};
  run.run(library, false);
  if (!manifest || failed(out, "library.loads")) return out;
  const Quirks quirks(path);
  for (const ComponentManifest& c : manifest->components)
    if (settings.component.empty() || c.name == settings.component)
      run_component(run, c, quirks, options, slow_to_load(out), settings);
  return out;
}

std::vector<ValidationCheck> validation_checks() {
  std::vector<ValidationCheck> out;
  for (const conformance::Check& c : conformance::all_checks()) out.push_back({c.id, c.kind, c.what});
  return out;
}

}  // namespace grpo::plugins
