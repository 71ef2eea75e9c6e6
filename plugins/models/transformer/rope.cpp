#include <cmath>

#include "config.hpp"

namespace grpo::transformer {

void rope_table(const Config& config, const std::int32_t* positions, std::int64_t n, float* cos, float* sin) {
  const auto half = static_cast<std::int64_t>(config.inv_freq.size());
  for (std::int64_t t = 0; t < n; ++t)
    for (std::int64_t i = 0; i < half; ++i) {
      // The angle is rounded to fp32, as in the originals: far out, that is a visible difference.
      const float angle = static_cast<float>(positions[t]) * config.inv_freq[static_cast<std::size_t>(i)];
      cos[t * half + i] = static_cast<float>(std::cos(static_cast<double>(angle)) * config.rope_scale);
      sin[t * half + i] = static_cast<float>(std::sin(static_cast<double>(angle)) * config.rope_scale);
    }
}

}  // namespace grpo::transformer
