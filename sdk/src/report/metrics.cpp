#include "grpo/sdk/report/metrics.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace grpo::report {

void Metrics::set(std::string_view name, double value) {
  for (auto& [key, old] : values_)
    if (key == name) {
      old = value;
      return;
    }
  values_.emplace_back(name, value);
}

std::optional<double> Metrics::find(std::string_view name) const {
  for (const auto& [key, value] : values_)
    if (key == name) return value;
  return std::nullopt;
}

Summary summarize(std::span<const double> values) {
  Summary s;
  double sum = 0;
  for (double x : values) {
    if (!std::isfinite(x)) continue;
    s.min = s.n ? std::min(s.min, x) : x;
    s.max = s.n ? std::max(s.max, x) : x;
    sum += x;
    ++s.n;
  }
  if (!s.n) return s;
  s.mean = sum / static_cast<double>(s.n);
  double square = 0;
  for (double x : values)
    if (std::isfinite(x)) square += (x - s.mean) * (x - s.mean);
  if (s.n > 1) s.std = std::sqrt(square / static_cast<double>(s.n - 1));
  return s;
}

void MetricsFile::write(std::int64_t step, const Metrics& metrics) {
  nlohmann::ordered_json row;
  row["step"] = step;
  for (const auto& [name, value] : metrics)
    row[name] = std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json(nullptr);
  // A plugin chooses names, so they may be no UTF-8.
  file_.append(row.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
}

}  // namespace grpo::report
