#include "sampling.hpp"

#include <grpo/random.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "errors.hpp"
#include "kernels/simd.hpp"

namespace grpo::transformer {
namespace {

constexpr std::int64_t block = 512;
constexpr float minus_infinity = -std::numeric_limits<float>::infinity();

bool off(double value) { return value <= 0 || value == 1; }

}  // namespace

bool Sampling::stops(std::int32_t token) const { return std::find(stop.begin(), stop.end(), token) != stop.end(); }

Sampling read_sampling(const grpo_sampling& s) {
  if (grpo_sampling_used(&s) & ~sampling_honoured)
    throw Refusal(GRPO_STATUS_UNSUPPORTED, "sampling: stop texts are the sampler's, not the model's");
  require(std::isfinite(s.temperature) && s.temperature >= 0, "sampling: temperature is negative");
  require(s.top_p >= 0 && s.top_p <= 1, "sampling: top_p is not between 0 and 1");
  require(s.min_p >= 0 && s.min_p <= 1, "sampling: min_p is not between 0 and 1");
  require(std::isfinite(s.repetition_penalty) && s.repetition_penalty >= 0, "sampling: repetition_penalty is negative");
  require(s.top_k >= 0 && s.min_new >= 0 && s.max_new >= 0, "sampling: top_k, min_new or max_new is negative");
  require(s.n_stop >= 0 && (s.n_stop == 0 || s.stop), "sampling: n_stop without stop ids");
  Sampling out{s.temperature, s.top_p, s.min_p, s.repetition_penalty, s.top_k, s.min_new, s.max_new, {}};
  out.stop.assign(s.stop, s.stop + s.n_stop);
  return out;
}

Chooser::Chooser(std::int64_t vocabulary)
    : vocabulary_(vocabulary),
      z_(static_cast<std::size_t>(vocabulary)),
      e_(static_cast<std::size_t>(vocabulary)),
      blocks_(static_cast<std::size_t>((vocabulary + block - 1) / block)),
      order_(static_cast<std::size_t>(vocabulary)),
      seen_(static_cast<std::size_t>(vocabulary), 0) {}

// The logits after the repetition penalty and min_new; the given ones where neither applies.
const float* Chooser::adjusted(const Sampling& s, const Place& place) {
  const bool penalty = !off(s.penalty), hold = place.n_new < s.min_new && !s.stop.empty();
  if (!penalty && !hold) return place.logits;
  std::copy_n(place.logits, vocabulary_, z_.begin());
  if (penalty) {
    if (mark_ == std::numeric_limits<std::int32_t>::max()) {
      std::fill(seen_.begin(), seen_.end(), 0);
      mark_ = 0;
    }
    ++mark_;
    const auto factor = static_cast<float>(s.penalty);
    for (std::int64_t i = 0; i < place.length; ++i) {
      const auto id = static_cast<std::size_t>(place.sequence[i]);
      if (seen_[id] == mark_) continue;
      seen_[id] = mark_;
      z_[id] = z_[id] > 0 ? z_[id] / factor : z_[id] * factor;
    }
  }
  if (hold)
    for (const auto id : s.stop)
      if (id >= 0 && id < vocabulary_) z_[static_cast<std::size_t>(id)] = minus_infinity;
  return z_.data();
}

// Leaves in order_ the ids that top_k, top_p and min_p let through, in the order of ids, and returns how many; e_ holds
// exp((z - max) / temperature).
std::int64_t Chooser::truncate(const Sampling& s, const float* z) {
  const auto better = [z](std::int32_t a, std::int32_t b) { return z[a] > z[b] || (z[a] == z[b] && a < b); };
  std::iota(order_.begin(), order_.end(), 0);
  const auto begin = order_.begin();
  std::int64_t n = vocabulary_;
  if (s.top_k > 0 && s.top_k < n) {
    std::nth_element(begin, begin + s.top_k, order_.end(), better);
    n = s.top_k;
  }
  if (s.top_p > 0 && s.top_p < 1) {
    double total = 0;
    for (std::int64_t i = 0; i < n; ++i) total += e_[static_cast<std::size_t>(order_[static_cast<std::size_t>(i)])];
    double reached = 0;
    std::int64_t sorted = 0, kept = 0, piece = 64;  // the best are few: sort piece by piece, until enough
    while (kept < n && reached < s.top_p * total) {
      if (kept == sorted) {
        const std::int64_t end = std::min(n, sorted + piece);
        if (end < n) std::nth_element(begin + sorted, begin + end, begin + n, better);
        std::sort(begin + sorted, begin + end, better);
        sorted = end;
        piece *= 8;
      }
      reached += e_[static_cast<std::size_t>(order_[static_cast<std::size_t>(kept++)])];
    }
    n = kept;
  }
  if (s.min_p > 0) {
    const auto least = static_cast<float>(s.min_p);  // the greatest e is 1
    n = std::partition(begin, begin + n, [&](std::int32_t id) { return e_[static_cast<std::size_t>(id)] >= least; }) -
        begin;
  }
  std::sort(begin, begin + n);
  return n;
}

Choice Chooser::choose(const Sampling& s, const Place& place) {
  const float* z = adjusted(s, place);
  Choice choice;
  if (s.temperature == 0) {
    const float top = simd::maximum(z, vocabulary_);
    const auto best = static_cast<std::int32_t>(std::find(z, z + vocabulary_, top) - z);
    choice.token = place.force >= 0 ? place.force : best;
    choice.logprob_sampled = choice.token == best ? 0.0f : minus_infinity;
    const float plain_top = simd::maximum(place.logits, vocabulary_);
    double weighted = 0;
    const double sum =
        simd::exponentials(place.logits, vocabulary_, plain_top, 1.0f, e_.data(), blocks_.data(), &weighted);
    choice.logprob = static_cast<float>(static_cast<double>(place.logits[choice.token]) - plain_top - std::log(sum));
    return choice;
  }

  const auto scale = static_cast<float>(1.0 / s.temperature);
  const auto exponentials = [&](const float* of, float top, bool plain) {
    double weighted = 0;
    const double sum = simd::exponentials(of, vocabulary_, top, scale, e_.data(), blocks_.data(), &weighted);
    if (plain) {
      choice.lse = static_cast<double>(top) / s.temperature + std::log(sum);
      choice.entropy = std::log(sum) - weighted / sum;
    }
    return sum;
  };
  if (z != place.logits) exponentials(place.logits, simd::maximum(place.logits, vocabulary_), true);
  const float top = simd::maximum(z, vocabulary_);
  double total = exponentials(z, top, z == place.logits);

  const bool truncated = s.top_k > 0 || (s.top_p > 0 && s.top_p < 1) || s.min_p > 0;
  const double u = grpo_random_uniform(place.key, static_cast<std::uint64_t>(place.length));
  std::int32_t drawn = -1, last = 0;
  bool possible = true;  // could the forced token be drawn?
  if (truncated) {
    const std::int64_t n = truncate(s, z);
    total = 0;
    for (std::int64_t i = 0; i < n; ++i) total += e_[static_cast<std::size_t>(order_[static_cast<std::size_t>(i)])];
    double sum = 0;
    possible = place.force < 0;
    for (std::int64_t i = 0; i < n; ++i) {
      const auto id = order_[static_cast<std::size_t>(i)];
      if (e_[static_cast<std::size_t>(id)] > 0) last = id;
      sum += e_[static_cast<std::size_t>(id)];
      if (drawn < 0 && sum > u * total) drawn = id;
      if (id == place.force) possible = true;
    }
  } else {
    double sum = 0;
    for (std::size_t b = 0; b < blocks_.size() && drawn < 0; sum += blocks_[b++]) {
      if (sum + blocks_[b] <= u * total && b + 1 < blocks_.size()) continue;  // not in this block
      double inside = sum;
      const auto end = std::min<std::int64_t>(vocabulary_, static_cast<std::int64_t>(b + 1) * block);
      for (auto id = static_cast<std::int64_t>(b) * block; id < end && drawn < 0; ++id) {
        inside += e_[static_cast<std::size_t>(id)];
        if (inside > u * total) drawn = static_cast<std::int32_t>(id);
      }
    }
    if (drawn < 0)
      for (std::int64_t id = 0; id < vocabulary_; ++id)
        if (e_[static_cast<std::size_t>(id)] > 0) last = static_cast<std::int32_t>(id);
  }
  choice.token = place.force >= 0 ? place.force : drawn >= 0 ? drawn : last;
  choice.logprob = static_cast<float>(static_cast<double>(place.logits[choice.token]) / s.temperature - choice.lse);
  choice.logprob_sampled =
      possible ? static_cast<float>((static_cast<double>(z[choice.token]) - top) / s.temperature - std::log(total))
               : minus_infinity;
  return choice;
}

}  // namespace grpo::transformer
