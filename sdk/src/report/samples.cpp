#include "grpo/sdk/report/samples.hpp"

#include <cmath>
#include <nlohmann/json.hpp>

namespace grpo::report {

void SamplesFile::write(std::int64_t step, std::span<const SavedSample> samples) {
  using Json = nlohmann::ordered_json;
  const auto number = [](double x) { return std::isfinite(x) ? Json(x) : Json(nullptr); };
  std::string lines;
  for (const SavedSample& s : samples) {
    Json rewards = Json::object();
    for (const auto& [name, score] : s.rewards) rewards[name] = number(score);
    const Json row = {{"step", step},
                      {"group", s.group},
                      {"index", s.index},
                      {"row", s.row},
                      {"prompt", s.prompt},
                      {"completion", s.completion},
                      {"ground_truth", s.ground_truth},
                      {"rewards", std::move(rewards)},
                      {"reward", number(s.reward)},
                      {"advantage", number(s.advantage)},
                      {"finish", s.finish},
                      {"tokens", s.tokens}};
    lines += row.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  }
  file_.append(lines);
}

}  // namespace grpo::report
