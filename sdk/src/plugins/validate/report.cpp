#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "grpo/sdk/plugins/validate.hpp"

namespace grpo::plugins {

using nlohmann::json;

const char* verdict_name(Verdict verdict) {
  return verdict == Verdict::pass ? "pass" : verdict == Verdict::fail ? "fail" : "skipped";
}

int Validation::count(Verdict verdict) const {
  return static_cast<int>(
      std::count_if(results.begin(), results.end(), [&](const ValidationResult& r) { return r.verdict == verdict; }));
}

std::string table_of(const Validation& v) {
  std::size_t width = 0;
  for (const ValidationResult& r : v.results) width = std::max(width, r.check.size());
  std::string out, component;
  bool first = true;
  for (const ValidationResult& r : v.results) {
    if (first || r.component != component) {
      out += (first ? "" : "\n") + (r.component.empty() ? v.path : r.component) + '\n';
      component = r.component;
      first = false;
    }
    std::string name = r.check, verdict = r.verdict == Verdict::fail ? "FAIL" : verdict_name(r.verdict);
    name.resize(width, ' ');
    verdict.resize(7, ' ');
    out += "  " + name + "  " + verdict + "  " +
           (r.verdict == Verdict::fail ? r.what
            : r.why.empty()            ? r.what
                                       : r.why) +
           '\n';
    if (r.verdict != Verdict::fail) continue;
    // One mistake makes many checks fail: it is told once.
    const auto told = std::find_if(v.results.begin(), v.results.end(), [&](const ValidationResult& other) {
      return other.verdict == Verdict::fail && other.component == r.component && other.why == r.why &&
             other.way_out == r.way_out;
    });
    if (&*told != &r) {
      out += "  " + std::string(width, ' ') + "    why: as " + told->check + '\n';
      continue;
    }
    out += "  " + std::string(width, ' ') + "    why: " + r.why + '\n';
    if (!r.way_out.empty()) out += "  " + std::string(width, ' ') + "    do:  " + r.way_out + '\n';
  }
  char counts[96];
  std::snprintf(counts, sizeof counts, "%d passed, %d failed, %d skipped\n", v.count(Verdict::pass),
                v.count(Verdict::fail), v.count(Verdict::skipped));
  return out + counts;
}

json json_of(const Validation& v) {
  json checks = json::array();
  for (const ValidationResult& r : v.results)
    checks.push_back({{"component", r.component},
                      {"check", r.check},
                      {"what", r.what},
                      {"result", verdict_name(r.verdict)},
                      {"why", r.why},
                      {"way_out", r.way_out},
                      {"seconds", r.seconds}});
  return {
      {"file", v.path},
      {"plugin", v.plugin},
      {"version", v.version},
      {"passed", v.passed()},
      {"counts",
       {{"pass", v.count(Verdict::pass)}, {"fail", v.count(Verdict::fail)}, {"skipped", v.count(Verdict::skipped)}}},
      {"checks", checks}};
}

}  // namespace grpo::plugins
