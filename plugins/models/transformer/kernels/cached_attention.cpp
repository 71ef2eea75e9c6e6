// Attention of single tokens over a cache in blocks.
#include <omp.h>

#include <algorithm>
#include <cmath>

#include "lanes.hpp"
#include "simd.hpp"

namespace grpo::transformer::simd {
namespace {

// scores[g][16 tokens of the block] = query g . keys, for up to four queries at once; two sums each, over even and odd
// places, hide the latency.
template <int Group>
INLINE void block_scores(const float* query, std::int64_t size, const float* keys, const float* ahead, float scale,
                         float* scores, std::int64_t scores_stride) {
  Floats even[Group], odd[Group], k0, k1;
  for (int g = 0; g < Group; ++g) even[g] = odd[g] = Floats{};
  for (std::int64_t d = 0; d < size; d += 2) {  // size is even
    load(keys + d * lanes, k0);
    load(keys + (d + 1) * lanes, k1);
    __builtin_prefetch(ahead + d * lanes, 0, 2);
    __builtin_prefetch(ahead + (d + 1) * lanes, 0, 2);
    for (int g = 0; g < Group; ++g) {
      even[g] += k0 * query[g * size + d];
      odd[g] += k1 * query[g * size + d + 1];
    }
  }
  for (int g = 0; g < Group; ++g) store((even[g] + odd[g]) * scale, scores + g * scores_stride);
}

// Blocks lie apart, so each is fetched while the one before it is worked on; after the last come the first values.
CLONES void all_scores(const float* query, std::int64_t group, std::int64_t size, const float* keys,
                       const float* values, const std::int32_t* block, std::int64_t blocks, std::int64_t block_elements,
                       float scale, float* scores) {
  const std::int64_t padded = blocks * lanes;
  for (std::int64_t b = 0; b < blocks; ++b) {
    const float* from = keys + block[b] * block_elements;
    const float* ahead = b + 1 < blocks ? keys + block[b + 1] * block_elements : values + block[0] * block_elements;
    float* to = scores + b * lanes;
    std::int64_t g = 0;
    for (; g + 4 <= group; g += 4) block_scores<4>(query + g * size, size, from, ahead, scale, to + g * padded, padded);
    for (; g + 3 <= group; g += 3) block_scores<3>(query + g * size, size, from, ahead, scale, to + g * padded, padded);
    for (; g < group; ++g) block_scores<1>(query + g * size, size, from, ahead, scale, to + g * padded, padded);
  }
}

// Returns the log of the sum of exp(score).
CLONES float softmax_row(float* scores, std::int64_t first, std::int64_t length, std::int64_t padded) {
  for (std::int64_t i = 0; i < first; ++i) scores[i] = -INFINITY;
  for (std::int64_t i = length; i < padded; ++i) scores[i] = -INFINITY;
  float top = -INFINITY;
  for (std::int64_t i = first; i < length; ++i) top = std::max(top, scores[i]);
  Floats sum{}, v, e;
  for (std::int64_t i = 0; i < padded; i += lanes) {
    load(scores + i, v);
    exp_lanes(v - top, e);
    store(e, scores + i);
    sum += e;
  }
  const float total = sum_lanes(sum), factor = 1.0f / total;
  for (std::int64_t i = 0; i < padded; ++i) scores[i] *= factor;
  return top + std::log(total);
}

// out[g][d] = sum over tokens of weight[g] * value, for Group queries and Vectors x 16 places at once.
template <int Group, int Vectors>
INLINE void sum_values(const float* weight, std::int64_t weight_stride, const float* values, const std::int32_t* block,
                       std::int64_t block_elements, std::int64_t size, std::int64_t length, float* out) {
  Floats sum[Group][Vectors], v[Vectors];
  for (auto& row : sum)
    for (auto& s : row) s = Floats{};
  for (std::int64_t begin = 0; begin < length; begin += lanes) {
    const float* from = values + block[begin / lanes] * block_elements;
    const float* ahead = begin + lanes < length ? values + block[begin / lanes + 1] * block_elements : from;
    for (std::int64_t t = begin; t < std::min(length, begin + lanes); ++t, from += size, ahead += size) {
      for (int i = 0; i < Vectors; ++i) load(from + i * lanes, v[i]);
      for (int i = 0; i < Vectors; ++i) __builtin_prefetch(ahead + i * lanes, 0, 2);
      for (int g = 0; g < Group; ++g) {
        const float w = weight[g * weight_stride + t];
        for (int i = 0; i < Vectors; ++i) sum[g][i] += v[i] * w;
      }
    }
  }
  for (int g = 0; g < Group; ++g)
    for (int i = 0; i < Vectors; ++i) store(sum[g][i], out + g * size + i * lanes);
}

template <int Group>
INLINE void group_values(const float* weight, std::int64_t weight_stride, const float* values,
                         const std::int32_t* block, std::int64_t block_elements, std::int64_t size, std::int64_t length,
                         float* out) {
  std::int64_t d = 0;
  for (; d + 4 * lanes <= size; d += 4 * lanes)
    sum_values<Group, 4>(weight, weight_stride, values + d, block, block_elements, size, length, out + d);
  for (; d + lanes <= size; d += lanes)
    sum_values<Group, 1>(weight, weight_stride, values + d, block, block_elements, size, length, out + d);
  for (; d < size; ++d)
    for (int g = 0; g < Group; ++g) {
      float sum = 0;
      for (std::int64_t t = 0; t < length; ++t)
        sum += weight[g * weight_stride + t] * values[block[t / lanes] * block_elements + t % lanes * size + d];
      out[g * size + d] = sum;
    }
}

CLONES void all_values(const float* weight, std::int64_t weight_stride, std::int64_t group, const float* values,
                       const std::int32_t* block, std::int64_t block_elements, std::int64_t size, std::int64_t length,
                       float* out) {
  std::int64_t g = 0;
  for (; g + 4 <= group; g += 4)
    group_values<4>(weight + g * weight_stride, weight_stride, values, block, block_elements, size, length,
                    out + g * size);
  for (; g + 3 <= group; g += 3)
    group_values<3>(weight + g * weight_stride, weight_stride, values, block, block_elements, size, length,
                    out + g * size);
  for (; g < group; ++g)
    group_values<1>(weight + g * weight_stride, weight_stride, values, block, block_elements, size, length,
                    out + g * size);
}

}  // namespace

std::int64_t cached_attention_scratch(std::int64_t longest, std::int64_t group) {
  return omp_get_max_threads() * group * ((longest + lanes - 1) / lanes * lanes + lanes);
}

void cached_attention(const CachedQuery* queries, std::int64_t n, const float* keys, const float* values,
                      std::int64_t kv_heads, std::int64_t group, std::int64_t size, float scale, float* scratch,
                      std::int64_t longest) {
  const std::int64_t block_elements = kv_heads * size * lanes;
  const std::int64_t room = group * ((longest + lanes - 1) / lanes * lanes + lanes);
  // Heads outside, queries inside: sequences of a group lie side by side and share most blocks.
#pragma omp parallel for schedule(dynamic, 4)
  for (std::int64_t i = 0; i < n * kv_heads; ++i) {
    const CachedQuery& q = queries[i % n];
    const std::int64_t head = i / n, part = head * size * lanes;
    const std::int64_t first_block = q.first / lanes, blocks = (q.length + lanes - 1) / lanes - first_block;
    const std::int64_t skipped = first_block * lanes, length = q.length - skipped;
    float* scores = scratch + omp_get_thread_num() * room;
    const std::int32_t* block = q.block + first_block;
    all_scores(q.query + head * group * size, group, size, keys + part, values + part, block, blocks, block_elements,
               scale, scores);
    const std::int64_t padded = blocks * lanes;
    for (std::int64_t g = 0; g < group; ++g) {
      const float lse = softmax_row(scores + g * padded, q.first - skipped, length, padded);
      if (q.lse) q.lse[head * group + g] = lse;
    }
    all_values(scores, padded, group, values + part, block, block_elements, size, length, q.out + head * group * size);
  }
}

}  // namespace grpo::transformer::simd
