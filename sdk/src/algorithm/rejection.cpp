#include "grpo/sdk/algorithm/rejection.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <numeric>

#include "text.hpp"

namespace grpo::algorithm {

namespace {

struct Mode {
  std::string_view name;
  Divergence divergence;
  RejectionLevel level;
};

// The one table to extend when a mode is added.
constexpr std::array<Mode, 13> modes = {{
    {"token_k1", Divergence::k1, RejectionLevel::token},
    {"token_k2", Divergence::k2, RejectionLevel::token},
    {"token_k3", Divergence::k3, RejectionLevel::token},
    {"binary_kl", Divergence::binary_kl, RejectionLevel::token},
    {"seq_sum_k1", Divergence::k1, RejectionLevel::sequence_sum},
    {"seq_sum_k2", Divergence::k2, RejectionLevel::sequence_sum},
    {"seq_sum_k3", Divergence::k3, RejectionLevel::sequence_sum},
    {"seq_mean_k1", Divergence::k1, RejectionLevel::sequence_mean},
    {"seq_mean_k2", Divergence::k2, RejectionLevel::sequence_mean},
    {"seq_mean_k3", Divergence::k3, RejectionLevel::sequence_mean},
    {"seq_max_k2", Divergence::k2, RejectionLevel::sequence_max},
    {"seq_max_k3", Divergence::k3, RejectionLevel::sequence_max},
    {"m2", Divergence::m2, RejectionLevel::batch_mean},
}};

std::vector<std::string_view> parts_of(std::string_view list) {
  std::vector<std::string_view> parts;
  while (!list.empty()) {
    const auto comma = std::min(list.find(','), list.size());
    std::string_view part = list.substr(0, comma);
    list.remove_prefix(std::min(comma + 1, list.size()));
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
    if (!part.empty()) parts.push_back(part);
  }
  return parts;
}

const Mode& mode_of(std::string_view name) {
  std::string known;
  for (const Mode& mode : modes) {
    if (mode.name == name) return mode;
    known.append(known.empty() ? "" : ", ").append(mode.name);
  }
  fail("unknown mode \"", name, "\"; known: ", known);
}

double bound(std::string_view text, std::string_view threshold, const Mode& mode) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !(value > 0) || std::isinf(value)) {
    const bool of_ratio = mode.divergence == Divergence::k1;
    fail("the threshold \"", threshold, "\" of ", mode.name, " must be ",
         of_ratio ? "bounds of the ratio, as 0.5_2, or its upper one alone, over 0" : "a number over 0");
  }
  return value;
}

RejectionCriterion criterion_of(const Mode& mode, std::string_view threshold) {
  RejectionCriterion out = {.mode = mode.name, .divergence = mode.divergence, .level = mode.level};
  if (mode.divergence != Divergence::k1) {
    out.upper = bound(threshold, threshold, mode);
    return out;
  }
  const auto between = threshold.find('_');
  const bool both = between != threshold.npos;
  const double upper = bound(both ? threshold.substr(between + 1) : threshold, threshold, mode);
  const double lower = both ? bound(threshold.substr(0, between), threshold, mode) : 1 / upper;
  if (lower > upper)
    fail("the threshold \"", threshold, "\" of ", mode.name, " rejects everything: its lower bound is above the upper",
         both ? "" : " (a single number u means 1/u_u)");
  out.lower = std::log(lower);
  out.upper = std::log(upper);
  return out;
}

bool of_rows(RejectionLevel level) {
  return level == RejectionLevel::sequence_sum || level == RejectionLevel::sequence_mean ||
         level == RejectionLevel::sequence_max;
}

// KL between two coins that fall on heads with probability p and q; probabilities are kept off 0 and 1 as verl does.
double coin_kl(double p, double q) {
  constexpr double edge = 1e-6;
  p = std::clamp(p, edge, 1 - edge);
  q = std::clamp(q, edge, 1 - edge);
  return p * std::log(p / q) + (1 - p) * std::log((1 - p) / (1 - q));
}

double divergence(Divergence kind, double old_logprob, double sampled_logprob) {
  constexpr double limit = 20;
  const double log_rho = std::clamp(old_logprob - sampled_logprob, -limit, limit);
  switch (kind) {
    case Divergence::k1:
      return 0 - log_rho;  // where they agree 0, not -0
    case Divergence::k2:
      return log_rho * log_rho / 2;
    case Divergence::k3:
      return std::expm1(log_rho) - log_rho;
    case Divergence::binary_kl: {
      const double p = std::exp(old_logprob), q = std::exp(sampled_logprob);
      return std::max(coin_kl(p, q), coin_kl(q, p));
    }
    case Divergence::m2:
      return log_rho * log_rho;
  }
  fail("divergence ", static_cast<int>(kind), " is not one of Divergence");
}

double of_row(RejectionLevel level, std::span<const double> values) {
  if (level == RejectionLevel::sequence_max) return *std::max_element(values.begin(), values.end());
  const double sum = std::accumulate(values.begin(), values.end(), 0.0);
  return level == RejectionLevel::sequence_sum ? sum : sum / static_cast<double>(values.size());
}

// How many of these values, the largest, must go until the mean of the rest is under the bound. One stays in any case.
std::size_t too_many(std::vector<double> values, double upper) {
  std::sort(values.begin(), values.end());
  double sum = 0;
  std::size_t stay = values.empty() ? 0 : 1;
  for (std::size_t n = 1; n <= values.size(); ++n) {
    sum += values[n - 1];
    if (sum / static_cast<double>(n) < upper) stay = n;
  }
  return values.size() - stay;
}

// The tokens of the mask, row by row, as one criterion sees them.
class Examination {
 public:
  Examination(std::span<const int64_t> start, std::span<const double> old_logprob,
              std::span<const double> sampled_logprob, std::span<const uint8_t> mask)
      : old_logprob_(old_logprob), sampled_logprob_(sampled_logprob) {
    for (size_t row = 0; row + 1 < start.size(); ++row) {
      rows_.push_back({tokens_.size(), 0});
      for (auto t = static_cast<size_t>(start[row]); t < static_cast<size_t>(start[row + 1]); ++t)
        if (mask.empty() || mask[t] != 0) tokens_.push_back(t);
      rows_.back().second = tokens_.size();
      if (rows_.back().first == rows_.back().second) rows_.pop_back();
    }
  }

  // Takes what the criterion rejects out of `accepted`.
  void judge(const RejectionCriterion& criterion, std::vector<uint8_t>& accepted,
             RejectionMetrics::Criterion& m) const {
    std::vector<double> values(tokens_.size());
    for (size_t i = 0; i < values.size(); ++i) {
      const size_t t = tokens_[i];
      const double old = old_logprob_[t];
      values[i] = divergence(criterion.divergence, old, std::isnan(sampled_logprob_[t]) ? old : sampled_logprob_[t]);
    }
    if (of_rows(criterion.level))
      for (const auto& [begin, end] : rows_) {
        const double all = of_row(criterion.level, std::span(values).subspan(begin, end - begin));
        std::fill(values.begin() + static_cast<std::ptrdiff_t>(begin),
                  values.begin() + static_cast<std::ptrdiff_t>(end), all);
      }
    const auto rejected =
        criterion.level == RejectionLevel::batch_mean ? largest(values, criterion.upper) : outside(values, criterion);
    measure(criterion, values, rejected, m);
    for (size_t i = 0; i < tokens_.size(); ++i)
      if (rejected[i]) accepted[tokens_[i]] = 0;
  }

  void count(const std::vector<uint8_t>& accepted, Mean& tokens, Mean& completions) const {
    count_if([&](size_t i) { return accepted[tokens_[i]] == 0; }, tokens, completions);
  }

 private:
  template <class Rejected>
  void count_if(const Rejected& rejected, Mean& tokens, Mean& completions) const {
    for (const auto& [begin, end] : rows_) {
      bool any = false;
      for (size_t i = begin; i < end; ++i) {
        tokens.add(rejected(i));
        any = any || rejected(i);
      }
      completions.add(any);
    }
  }

  static std::vector<uint8_t> outside(const std::vector<double>& values, const RejectionCriterion& criterion) {
    std::vector<uint8_t> out(values.size());
    for (size_t i = 0; i < values.size(); ++i) out[i] = !(values[i] >= criterion.lower && values[i] <= criterion.upper);
    return out;
  }

  // Among equals the first.
  static std::vector<uint8_t> largest(const std::vector<double>& values, double upper) {
    std::vector<size_t> order(values.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] > values[b]; });
    std::vector<uint8_t> out(values.size(), 0);
    const size_t n = too_many(values, upper);
    for (size_t i = 0; i < n; ++i) out[order[i]] = 1;
    return out;
  }

  void measure(const RejectionCriterion& criterion, const std::vector<double>& values,
               const std::vector<uint8_t>& rejected, RejectionMetrics::Criterion& m) const {
    const bool rows = of_rows(criterion.level);
    for (const auto& [begin, end] : rows_)
      for (size_t i = begin; i < end; ++i) {
        m.divergence.add(values[i]);
        m.min = std::min(m.min, values[i]);
        m.max = std::max(m.max, values[i]);
        if (rows && i != begin) continue;
        m.high.add(values[i] > criterion.upper);
        if (!std::isinf(criterion.lower)) m.low.add(values[i] < criterion.lower);
      }
    count_if([&](size_t i) { return rejected[i] != 0; }, m.tokens, m.completions);
  }

  std::span<const double> old_logprob_, sampled_logprob_;
  std::vector<size_t> tokens_;                   // of the mask
  std::vector<std::pair<size_t, size_t>> rows_;  // [begin, end) in tokens_, those with a token
};

}  // namespace

std::vector<std::string_view> rejection_modes() {
  std::vector<std::string_view> names;
  for (const Mode& mode : modes) names.push_back(mode.name);
  return names;
}

std::vector<RejectionCriterion> rejection_criteria(std::string_view names, std::string_view thresholds) {
  std::vector<const Mode*> wanted;
  for (const std::string_view name : parts_of(names)) {
    const Mode* mode = &mode_of(name);
    if (std::find(wanted.begin(), wanted.end(), mode) == wanted.end()) wanted.push_back(mode);
  }
  if (wanted.empty()) return {};
  const auto given = parts_of(thresholds);
  if (given.empty()) fail("there is no threshold: give one for each mode, or one for all");
  if (given.size() != 1 && given.size() != wanted.size())
    fail("there are ", given.size(), " thresholds for ", wanted.size(), " modes: give one for each, or one for all");
  std::vector<RejectionCriterion> criteria;
  for (size_t i = 0; i < wanted.size(); ++i)
    criteria.push_back(criterion_of(*wanted[i], given[given.size() == 1 ? 0 : i]));
  return criteria;
}

bool of_whole_step(const RejectionCriterion& criterion) { return criterion.level == RejectionLevel::batch_mean; }

std::vector<uint8_t> accepted_tokens(std::span<const RejectionCriterion> criteria, std::span<const int64_t> start,
                                     std::span<const double> old_logprob, std::span<const double> sampled_logprob,
                                     std::span<const uint8_t> mask, RejectionMetrics* metrics) {
  if (start.empty()) fail("rejection: start is empty; it needs rows + 1 elements");
  const auto tokens = static_cast<size_t>(start.back());
  const auto check_size = [tokens](const char* name, size_t size) {
    if (size != tokens) fail("rejection: ", name, " has ", size, " values for ", tokens, " tokens");
  };
  check_size("old_logprob", old_logprob.size());
  check_size("sampled_logprob", sampled_logprob.size());
  if (!mask.empty()) check_size("mask", mask.size());

  std::vector<uint8_t> accepted(tokens, 1);
  const Examination examination(start, old_logprob, sampled_logprob, mask);
  RejectionMetrics measured;
  for (const RejectionCriterion& criterion : criteria) {
    measured.criteria.push_back(
        {.mode = criterion.mode, .divergence = {}, .high = {}, .low = {}, .tokens = {}, .completions = {}});
    examination.judge(criterion, accepted, measured.criteria.back());
  }
  examination.count(accepted, measured.tokens, measured.completions);
  if (metrics) metrics->merge(measured);
  return accepted;
}

std::vector<double> rejection_weights(std::span<const uint8_t> accepted, std::span<const int64_t> start,
                                      std::span<const uint8_t> mask, Aggregation aggregation) {
  std::vector<double> factors(accepted.begin(), accepted.end());
  if (aggregation != Aggregation::sequence_mean) return factors;
  for (size_t row = 0; row + 1 < start.size(); ++row) {
    const auto begin = static_cast<size_t>(start[row]), end = static_cast<size_t>(start[row + 1]);
    double before = 0, after = 0;
    for (size_t t = begin; t < end; ++t)
      if (mask.empty() || mask[t] != 0) ++before, after += factors[t];
    for (size_t t = begin; t < end && after > 0; ++t) factors[t] *= before / after;
  }
  return factors;
}

void RejectionMetrics::merge(const RejectionMetrics& other) {
  for (const Criterion& of : other.criteria) {
    const auto same = [&](const Criterion& c) { return c.mode == of.mode; };
    const auto at = std::find_if(criteria.begin(), criteria.end(), same);
    if (at == criteria.end()) {
      criteria.push_back(of);
      continue;
    }
    at->divergence.merge(of.divergence);
    at->min = std::min(at->min, of.min);
    at->max = std::max(at->max, of.max);
    at->high.merge(of.high);
    at->low.merge(of.low);
    at->tokens.merge(of.tokens);
    at->completions.merge(of.completions);
  }
  tokens.merge(other.tokens);
  completions.merge(other.completions);
}

std::vector<std::pair<std::string, double>> RejectionMetrics::values() const {
  std::vector<std::pair<std::string, double>> out;
  const auto add = [&](const std::string& name, double value, const Mean& measured) {
    if (measured.count > 0) out.emplace_back("sampling/rejection/" + name, value);
  };
  add("tokens", tokens.value(), tokens);
  add("completions", completions.value(), completions);
  for (const Criterion& c : criteria) {
    const std::string mode = std::string(c.mode) + "/";
    add(mode + "mean", c.divergence.value(), c.divergence);
    add(mode + "min", c.min, c.divergence);
    add(mode + "max", c.max, c.divergence);
    add(mode + "high", c.high.value(), c.high);
    add(mode + "low", c.low.value(), c.low);
    add(mode + "tokens", c.tokens.value(), c.tokens);
    add(mode + "completions", c.completions.value(), c.completions);
  }
  return out;
}

}  // namespace grpo::algorithm
