#include "grpo/sdk/train/evaluation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

namespace grpo::train {
namespace {

using Json = nlohmann::ordered_json;

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }
Json json_of(const Estimate& e) { return {{"value", number(e.value)}, {"stderr", number(e.stderr_)}}; }

Json json_of(const AskedOnce& asked) {
  Json rewards = Json::object();
  for (const auto& [name, mean] : asked.rewards) rewards[name] = number(mean);
  return {{"completions", asked.completions},         {"accuracy", json_of(asked.accuracy)},
          {"accuracy_strict", json_of(asked.strict)}, {"accuracy_lenient", json_of(asked.lenient)},
          {"mean_length", number(asked.mean_length)}, {"clipped_ratio", number(asked.clipped_ratio)},
          {"reward", number(asked.reward)},           {"rewards", std::move(rewards)}};
}

// As prettytable centres: the odd blank goes to the right of an odd text, to the left of an even one.
std::string centred(const std::string& text, std::size_t width) {
  const std::size_t excess = width - text.size(), half = excess / 2;
  const std::size_t left = excess % 2 && text.size() % 2 == 0 ? half + 1 : half;
  std::string out(left, ' ');
  return out.append(text).append(excess - left, ' ');
}

std::string cell(double value) { return std::isfinite(value) ? fmt::format("{:.1f}", value) : "-"; }
std::string per_cent(double share) { return cell(100 * share); }

std::vector<std::string> cells(const DatasetResult& d, std::span<const std::int64_t> pass_k) {
  const AskedOnce none;
  const AskedOnce &greedy = d.greedy ? *d.greedy : none, &sampled = d.sampled ? *d.sampled : none;
  std::vector<std::string> row{d.name,
                               std::to_string(d.questions) + (d.complete() ? "" : "*"),
                               cell(greedy.mean_length),
                               cell(sampled.mean_length),
                               per_cent(greedy.accuracy.value),
                               per_cent(sampled.accuracy.value)};
  for (const auto k : pass_k) {
    const auto found = std::find_if(d.pass_at.begin(), d.pass_at.end(), [&](const auto& p) { return p.first == k; });
    row.push_back(found == d.pass_at.end() ? "-" : per_cent(found->second.value));
  }
  return row;
}

// Names and values of a set's metrics, without the prefix.
std::vector<std::pair<std::string, double>> values_of(const DatasetResult& d) {
  const AskedOnce& main = d.main();
  std::vector<std::pair<std::string, double>> values{{"accuracy", main.accuracy.value},
                                                     {"accuracy_stderr", main.accuracy.stderr_},
                                                     {"accuracy_strict", main.strict.value},
                                                     {"accuracy_lenient", main.lenient.value}};
  if (d.sampled && d.greedy) {
    values.emplace_back("greedy_accuracy", d.greedy->accuracy.value);
    values.emplace_back("greedy_length", d.greedy->mean_length);
  }
  for (const auto& [k, estimate] : d.pass_at) values.emplace_back("pass@" + std::to_string(k), estimate.value);
  for (const auto& b : d.best_of) {
    const std::string n = std::to_string(b.n);
    values.emplace_back("accuracy_best@" + n, b.accuracy_best.value);
    values.emplace_back("accuracy_worst@" + n, b.accuracy_worst.value);
    values.emplace_back("accuracy_majority@" + n, b.majority.value);
    values.emplace_back("reward_best@" + n, b.reward_best.value);
    values.emplace_back("reward_worst@" + n, b.reward_worst.value);
  }
  values.emplace_back("reward", main.reward);
  for (const auto& [name, mean] : main.rewards) values.emplace_back("rewards/" + name + "/mean", mean);
  values.emplace_back("completions/mean_length", main.mean_length);
  values.emplace_back("completions/clipped_ratio", main.clipped_ratio);
  values.emplace_back("num_questions", static_cast<double>(d.questions));
  return values;
}

// What is NaN because there is nothing to tell is left out, but for what must be told to be missing.
bool told(const std::string& name, double value) {
  return std::isfinite(value) || name == "reward" || name.starts_with("rewards/");
}

}  // namespace

double pass_at_k(std::int64_t n, std::int64_t correct, std::int64_t k) {
  if (n - correct < k) return 1;
  double all_wrong = 1;
  for (std::int64_t i = n - correct + 1; i <= n; ++i) all_wrong *= 1 - static_cast<double>(k) / static_cast<double>(i);
  return 1 - all_wrong;
}

Estimate mean_of(std::span<const double> values) {
  const auto s = report::summarize(values);
  if (s.n == 0) return {};
  return {s.mean, s.n > 1 ? s.std / std::sqrt(static_cast<double>(s.n)) : no_value};
}

std::string table(const Evaluation& evaluation, std::span<const std::int64_t> pass_k) {
  std::vector<std::vector<std::string>> rows{
      {"dataset", "num_questions", "greedy_length", "sample_length", "greedy_acc", "sample_pass@1"}};
  for (const auto k : pass_k) rows[0].push_back("pass@" + std::to_string(k));
  for (const auto& d : evaluation.datasets) rows.push_back(cells(d, pass_k));
  std::vector<std::size_t> widths(rows[0].size(), 0);
  for (const auto& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  std::string rule = "+";
  for (const auto width : widths) rule.append(width + 2, '-').append("+");
  std::string out = rule;
  out.append("\n");
  for (const auto& row : rows) {
    out += "|";
    for (std::size_t i = 0; i < row.size(); ++i) out.append(" ").append(centred(row[i], widths[i])).append(" |");
    out.append("\n");
    if (&row == &rows.front()) out.append(rule).append("\n");
  }
  return out.append(rule).append("\n");
}

Json to_json(const Evaluation& evaluation) {
  Json datasets = Json::array();
  for (const auto& d : evaluation.datasets) {
    Json one = {{"dataset", d.name},
                {"path", d.path},
                {"complete", d.complete()},
                {"num_questions", d.questions},
                {"rows", d.rows},
                {"samples", d.samples},
                {"temperature", d.temperature},
                {"max_new_tokens", d.max_new_tokens},
                {"greedy", d.greedy ? json_of(*d.greedy) : Json(nullptr)},
                {"sampled", d.sampled ? json_of(*d.sampled) : Json(nullptr)}};
    Json pass = Json::object();
    for (const auto& [k, estimate] : d.pass_at) pass[std::to_string(k)] = json_of(estimate);
    one["pass_at"] = std::move(pass);
    Json best = Json::object();
    for (const auto& b : d.best_of)
      best[std::to_string(b.n)] = {{"accuracy_best", json_of(b.accuracy_best)},
                                   {"accuracy_worst", json_of(b.accuracy_worst)},
                                   {"accuracy_majority", json_of(b.majority)},
                                   {"reward_best", json_of(b.reward_best)},
                                   {"reward_worst", json_of(b.reward_worst)}};
    if (!best.empty()) one["best_of"] = std::move(best);
    one["seconds"] = d.seconds;
    datasets.push_back(std::move(one));
  }
  return {{"complete", evaluation.complete}, {"datasets", std::move(datasets)}};
}

report::Metrics metrics_of(const Evaluation& evaluation) {
  report::Metrics metrics;
  const bool several = evaluation.datasets.size() > 1;
  std::vector<std::string> names;
  std::map<std::string, std::vector<double>> by_name;
  double questions = 0, seconds = 0;
  for (const auto& d : evaluation.datasets) {
    seconds += d.seconds;
    questions += static_cast<double>(d.questions);
    for (const auto& [name, value] : values_of(d)) {
      if (!by_name.contains(name)) names.push_back(name);
      by_name[name].push_back(value);
    }
  }
  for (const auto& name : names) {
    double value = by_name[name].size() == 1 ? by_name[name][0] : mean_of(by_name[name]).value;
    if (name == "num_questions") value = questions;
    const bool of_one_set = name == "accuracy_stderr" && several;  // errors of sets are not averaged
    if (told(name, value) && !of_one_set) metrics.set("eval/" + name, value);
  }
  if (several)
    for (const auto& d : evaluation.datasets)
      for (const auto& [name, value] : values_of(d))
        if (told(name, value)) metrics.set("eval/" + d.name + "/" + name, value);
  metrics.set("timing/eval", seconds);
  return metrics;
}

std::string summary_line(const DatasetResult& d) {
  const auto share = [](const Estimate& e) {
    return per_cent(e.value) + " %" + (std::isfinite(e.stderr_) ? " +-" + per_cent(e.stderr_) : "");
  };
  std::string out = fmt::format("{}: {} questions", d.name, d.questions);
  if (!d.complete()) out += fmt::format(" of {}", d.rows);
  const auto tell = [&](const char* way, const AskedOnce& asked) {
    out += fmt::format("; {} {}", way, share(asked.accuracy));
    if (std::isfinite(asked.strict.value))
      out += fmt::format(" (strict {} %, lenient {} %)", per_cent(asked.strict.value), per_cent(asked.lenient.value));
    out += fmt::format(", {:.0f} tokens, {} % cut", asked.mean_length, per_cent(asked.clipped_ratio));
  };
  if (d.greedy) tell("greedy", *d.greedy);
  if (d.sampled) tell(fmt::format("{} samples", d.samples).c_str(), *d.sampled);
  for (const auto& [k, estimate] : d.pass_at)
    if (k > 1) out += fmt::format(", pass@{} {}", k, share(estimate));
  for (const auto& b : d.best_of) out += fmt::format(", maj@{} {}", b.n, share(b.majority));
  return out + fmt::format("; {:.1f}s", d.seconds);
}

}  // namespace grpo::train
