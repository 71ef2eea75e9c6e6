#include "series.hpp"

#include <algorithm>
#include <cmath>

namespace grpo::report {

void Curves::add(std::int64_t step, std::string_view name, double value) {
  if (!std::isfinite(value) || step < 0) return;
  last_step_ = std::max(last_step_, step);
  while (static_cast<std::size_t>(step / stride_) >= most_) halve();
  auto at = series_.find(name);
  if (at == series_.end()) {
    at = series_.emplace(name, Series{}).first;
    names_.emplace_back(name);
  }
  Series& s = at->second;
  if (s.n == 0) {
    s.first_step = s.min_step = s.max_step = step;
    s.first = s.min = s.max = value;
  }
  if (value < s.min) s.min = value, s.min_step = step;
  if (value > s.max) s.max = value, s.max_step = step;
  s.last = value;
  s.last_step = step;
  ++s.n;
  const std::int64_t interval = step / stride_;
  if (s.points.empty() || s.points.back().interval != interval) {
    s.points.push_back({interval, 1, value, value, value});
    return;
  }
  Point& p = s.points.back();
  ++p.n;
  p.sum += value;
  p.min = std::min(p.min, value);
  p.max = std::max(p.max, value);
}

void Curves::clear() { *this = Curves(most_); }

const Series* Curves::find(std::string_view name) const {
  const auto at = series_.find(name);
  return at == series_.end() ? nullptr : &at->second;
}

void Curves::halve() {
  stride_ *= 2;
  for (auto& [name, s] : series_) {
    std::vector<Point> merged;
    for (Point p : s.points) {
      p.interval /= 2;
      if (merged.empty() || merged.back().interval != p.interval) {
        merged.push_back(p);
        continue;
      }
      Point& into = merged.back();
      into.n += p.n;
      into.sum += p.sum;
      into.min = std::min(into.min, p.min);
      into.max = std::max(into.max, p.max);
    }
    s.points = std::move(merged);
  }
}

}  // namespace grpo::report
