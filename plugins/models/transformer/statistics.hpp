// statistics.hpp: what is wanted of a row of logits, and how it is added up part by part.
#ifndef GRPO_TRANSFORMER_STATISTICS_HPP
#define GRPO_TRANSFORMER_STATISTICS_HPP

#include <cmath>
#include <limits>

namespace grpo::transformer {

// One result for each row of logits.
struct RowStatistics {
  double lse = 0, entropy = 0;  // of softmax(z / temperature)
};

// Sums over the part of a row seen so far.
struct RowSums {
  float top = -std::numeric_limits<float>::infinity();
  double sum = 0, weighted = 0;  // of e = exp((z - top) / temperature), and of e (z - top) / temperature

  void add(const RowSums& other, double temperature) {
    if (other.top > top) {
      RowSums larger = other;
      larger.add(*this, temperature);
      *this = larger;
      return;
    }
    if (other.sum == 0) return;
    const double distance = (static_cast<double>(other.top) - top) / temperature, factor = std::exp(distance);
    sum += factor * other.sum;
    weighted += factor * (other.weighted + distance * other.sum);
  }

  RowStatistics statistics(double temperature) const {
    return {static_cast<double>(top) / temperature + std::log(sum), std::log(sum) - weighted / sum};
  }
};

}  // namespace grpo::transformer

#endif
