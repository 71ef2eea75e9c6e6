#include "grpo/sdk/report/names.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <string>

#include "grpo/sdk/error.hpp"

namespace grpo::report {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN(), gib = 1024.0 * 1024.0 * 1024.0;

// Our metrics as the tables see them: what is missing is NaN, which spreads.
class View {
 public:
  View(const Metrics& metrics, std::int64_t step) : metrics_(metrics), step_(static_cast<double>(step)) {}
  double step() const { return step_; }
  double operator[](std::string_view name) const { return metrics_.find(name).value_or(nan); }
  // A name that ends in a number.
  double numbered(std::string_view name, double n) const {
    return (*this)[std::string(name) + std::to_string(static_cast<long>(n))];
  }
  // A value that makes sense where `name` is reported.
  double with(std::string_view name, double value) const { return metrics_.find(name) ? value : nan; }
  double without(std::string_view name, double value) const { return metrics_.find(name) ? nan : value; }
  double or_else(std::string_view name, double otherwise) const { return metrics_.find(name).value_or(otherwise); }
  double sum_of(std::string_view prefix, std::string_view suffix) const {
    double sum = nan;
    for (const auto& [name, value] : metrics_)
      if (name.starts_with(prefix) && name.ends_with(suffix)) sum = (std::isnan(sum) ? 0 : sum) + value;
    return sum;
  }
  double completion_tokens() const { return (*this)["num_completions"] * (*this)["completions/mean_length"]; }
  // Prompts once for each completion.
  double tokens() const { return completion_tokens() + (*this)["num_completions"] * (*this)["prompt_length/mean"]; }

 private:
  const Metrics& metrics_;
  double step_;
};

enum class Kind { same, name, each, each_and_parts, left_out };

struct Entry {
  Kind kind;
  std::string_view name, meaning;
  double (*value)(const View& m, const NameSettings& s) = nullptr;
  std::string_view prefix = {}, suffix = {};  // each: ours, around the part that the placeholder stands for
  std::string_view placeholder = "<reward>";
};

// What every reward has (docs/metrics.md); whatever else stands there is a component of its scores.
bool is_of_every_reward(std::string_view name) {
  static constexpr std::string_view names[] = {"mean", "std", "min", "max", "na", "errors", "timeouts", "seconds"};
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

#define SAME(theirs) {Kind::same, #theirs, "the same"},
#define NAME(theirs, expression)    \
  {Kind::name, theirs, #expression, \
   []([[maybe_unused]] const View& m, [[maybe_unused]] const NameSettings& s) -> double { return expression; }},
#define EACH(theirs, before, after) {Kind::each, theirs, before "<reward>" after, nullptr, before, after},
#define EACH_MODE(theirs, before, after) {Kind::each, theirs, before "<mode>" after, nullptr, before, after, "<mode>"},
#define EACH_AND_PARTS(theirs, before, after) \
  {Kind::each_and_parts, theirs, before "<reward>" after ", and " before "<any>/<reward>", nullptr, before, after},
#define LEFT_OUT(theirs, why) {Kind::left_out, theirs, why},
constexpr Entry trl[] = {
#include "names/trl.def"
};
constexpr Entry verl[] = {
#include "names/verl.def"
};
constexpr Entry easyr1[] = {
#include "names/easyr1.def"
};
constexpr Entry mindspeed[] = {
#include "names/mindspeed.def"
};
constexpr Entry areal[] = {
#include "names/areal.def"
};
#undef SAME
#undef NAME
#undef EACH
#undef EACH_MODE
#undef EACH_AND_PARTS
#undef LEFT_OUT

struct System {
  std::string_view name, title;
  std::span<const Entry> entries;
};
constexpr System systems[] = {{"trl", "TRL 1.16 (`GRPOTrainer`)", trl},
                              {"verl", "verl (January 2026)", verl},
                              {"easyr1", "EasyR1 (July 2026)", easyr1},
                              {"mindspeed", "MindSpeed-MM and MindSpeed-RL (GRPO)", mindspeed},
                              {"areal", "AReaL v0.2", areal}};

std::span<const Entry> entries_of(std::string_view name) {
  for (const System& system : systems)
    if (system.name == name) return system.entries;
  std::string known;
  for (const System& system : systems) known += (known.empty() ? "" : ", ") + std::string(system.name);
  throw Error("no metric names of '" + std::string(name) + "' are known; there are: " + known);
}

std::string replaced(std::string_view text, std::string_view what, std::string_view by) {
  std::string out(text);
  if (const auto at = out.find(what); at != out.npos) out.replace(at, what.size(), by);
  return out;
}

}  // namespace

MetricNames::MetricNames(const std::vector<std::string>& systems, NameSettings settings)
    : systems_(systems), settings_(std::move(settings)) {
  for (const auto& system : systems_) entries_of(system);
}

void MetricNames::add(std::int64_t step, Metrics& metrics) const {
  const Metrics ours = metrics;
  const View view(ours, step);
  const auto put = [&](const std::string& name, double value) {
    if (std::isfinite(value) && !ours.find(name)) metrics.set(name, value);
  };
  for (const auto& system : systems_)
    for (const Entry& entry : entries_of(system)) {
      if (entry.kind == Kind::name)
        put(replaced(replaced(entry.name, "<data>", settings_.evaluation), "<n>",
                     std::to_string(static_cast<long>(settings_.evaluation_samples))),
            entry.value(view, settings_));
      if (entry.kind == Kind::each || entry.kind == Kind::each_and_parts)
        for (const auto& [name, value] : ours) {
          const auto around = entry.prefix.size() + entry.suffix.size();
          if (name.size() <= around || !name.starts_with(entry.prefix) || !name.ends_with(entry.suffix)) continue;
          const auto one = name.substr(entry.prefix.size(), name.size() - around);
          if (one.find('/') == one.npos) put(replaced(entry.name, entry.placeholder, one), value);
        }
      if (entry.kind == Kind::each_and_parts)
        for (const auto& [name, value] : ours) {
          const auto slash = name.find('/', entry.prefix.size());
          if (!name.starts_with(entry.prefix) || slash == name.npos) continue;
          const auto part = std::string_view(name).substr(slash + 1);
          if (is_of_every_reward(part) || part.find('/') != part.npos) continue;
          const std::string theirs = replaced(entry.name, "<reward>", part);
          if (!metrics.find(theirs)) put(theirs, value);
        }
    }
}

std::vector<std::string> metric_systems() {
  std::vector<std::string> names;
  for (const System& system : systems) names.emplace_back(system.name);
  return names;
}

std::vector<NameEntry> metric_name_table(std::string_view system) {
  std::vector<NameEntry> table;
  for (const Entry& entry : entries_of(system))
    table.push_back({std::string(entry.name), std::string(entry.meaning), entry.kind != Kind::left_out});
  return table;
}

std::string metric_names_markdown() {
  std::string page =
      "# Metric names of other systems\n\n<!-- Generated from sdk/src/report/names; the test Names.ThePageIsUpToDate "
      "says how. -->\n\n`report.metric_names: [trl, verl]` writes these names beside [ours](metrics.md), into "
      "metrics.jsonl, TensorBoard and the page. Ours are never changed: where a system has a name that is ours too, it "
      "has our value. `m` is our metrics, `s` settings of the run; `m.with(a, x)` is x where a is reported, "
      "`m.tokens()` the prompt and completion tokens of all completions of the step. A value that a step does not have "
      "leaves its name out. `<reward>`, `<data>`, `<n>`: any reward (or, as `<any>/<reward>`, any "
      "component of a reward's scores), the evaluation file's name, `evaluation.samples`; `<mode>`: any of "
      "`algorithm.rollout_rejection`.\n";
  for (const System& system : systems) {
    page += "\n## " + std::string(system.title) + ": `" + std::string(system.name) + "`\n\n| name | is |\n|---|---|\n";
    for (const Entry& e : system.entries)
      if (e.kind != Kind::left_out)
        page += "| `" + std::string(e.name) + "` | " +
                (e.kind == Kind::same ? std::string(e.meaning) : "`" + std::string(e.meaning) + "`") + " |\n";
    page += "\nLeft out:\n\n| name | why |\n|---|---|\n";
    for (const Entry& e : system.entries)
      if (e.kind == Kind::left_out) page += "| `" + std::string(e.name) + "` | " + std::string(e.meaning) + " |\n";
  }
  return page;
}

}  // namespace grpo::report
