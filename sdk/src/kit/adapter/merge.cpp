#include "grpo/kit/adapter.hpp"

namespace grpo::kit {

void add_adapter(float* weight, std::int64_t out, std::int64_t in, const float* a, const float* b, std::int64_t rank,
                 double scale) {
  for (std::int64_t row = 0; row < out; ++row)
    for (std::int64_t r = 0; r < rank; ++r) {
      const float factor = static_cast<float>(scale * static_cast<double>(b[row * rank + r]));
      if (factor == 0) continue;
      float* to = weight + row * in;
      const float* from = a + r * in;
      for (std::int64_t i = 0; i < in; ++i) to[i] += factor * from[i];
    }
}

}  // namespace grpo::kit
