// series.hpp: the curves of a run of any length in a bounded number of points.
//
// Main idea. The steps are cut into intervals of equal length, a power of two, the same for all curves of a run. When
// there are more than `most` of them, each two neighbours become one. So adding a value costs the same at step 100,000
// as at step 1, and a curve never has more than `most` points; an interval keeps its mean, smallest and largest value,
// so no peak is lost.
#ifndef GRPO_SRC_REPORT_SERIES_HPP
#define GRPO_SRC_REPORT_SERIES_HPP

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace grpo::report {

struct Point {
  std::int64_t interval = 0;  // steps [interval * stride, (interval + 1) * stride)
  std::int64_t n = 0;
  double sum = 0, min = 0, max = 0;
};

struct Series {
  std::vector<Point> points;  // in order of steps
  std::int64_t n = 0, first_step = 0, last_step = 0, min_step = 0, max_step = 0;
  double first = 0, last = 0, min = 0, max = 0;
};

class Curves {
 public:
  explicit Curves(std::size_t most = 800) : most_(most) {}

  // Steps do not decrease; a value that is not finite is left out.
  void add(std::int64_t step, std::string_view name, double value);
  void clear();

  std::int64_t stride() const { return stride_; }
  std::int64_t last_step() const { return last_step_; }
  // Names in the order in which they first came.
  const std::vector<std::string>& names() const { return names_; }
  const Series& at(std::string_view name) const { return series_.find(name)->second; }
  const Series* find(std::string_view name) const;

 private:
  void halve();

  std::size_t most_;
  std::int64_t stride_ = 1, last_step_ = 0;
  std::vector<std::string> names_;
  std::map<std::string, Series, std::less<>> series_;
};

}  // namespace grpo::report

#endif
