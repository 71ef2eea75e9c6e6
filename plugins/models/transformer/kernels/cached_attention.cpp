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

// exp(score - top), the top being subtracted; what is not seen becomes 0. Returns the log of the sum of exp(score), and
// in `factor` what makes the weights sum to one.
CLONES float softmax_row(float* scores, std::int64_t first, std::int64_t length, std::int64_t padded, float* factor) {
  for (std::int64_t i = 0; i < first; ++i) scores[i] = -INFINITY;
  for (std::int64_t i = length; i < padded; ++i) scores[i] = -INFINITY;
  Floats best = Floats{} - INFINITY, sum{}, v, e;
  for (std::int64_t i = 0; i < padded; i += lanes) {
    load(scores + i, v);
    best = v > best ? v : best;
  }
  const float top = max_lanes(best);
  for (std::int64_t i = 0; i < padded; i += lanes) {
    load(scores + i, v);
    exp_lanes(v - top, e);
    store(e, scores + i);
    sum += e;
  }
  const float total = sum_lanes(sum);
  *factor = 1.0f / total;
  return top + std::log(total);
}

// out[g][d] = sum over tokens of weight[g] * value, for Group queries and Vectors x 16 places at once.
template <int Group, int Vectors>
INLINE void sum_values(const float* weight, std::int64_t weight_stride, const float* values, const std::int32_t* block,
                       std::int64_t block_elements, std::int64_t size, std::int64_t length, const float* factor,
                       float* out) {
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
    for (int i = 0; i < Vectors; ++i) store(sum[g][i] * factor[g], out + g * size + i * lanes);
}

template <int Group>
INLINE void group_values(const float* weight, std::int64_t weight_stride, const float* values,
                         const std::int32_t* block, std::int64_t block_elements, std::int64_t size, std::int64_t length,
                         const float* factor, float* out) {
  std::int64_t d = 0;
  for (; d + 4 * lanes <= size; d += 4 * lanes)
    sum_values<Group, 4>(weight, weight_stride, values + d, block, block_elements, size, length, factor, out + d);
  for (; d + lanes <= size; d += lanes)
    sum_values<Group, 1>(weight, weight_stride, values + d, block, block_elements, size, length, factor, out + d);
  for (; d < size; ++d)
    for (int g = 0; g < Group; ++g) {
      float sum = 0;
      for (std::int64_t t = 0; t < length; ++t)
        sum += weight[g * weight_stride + t] * values[block[t / lanes] * block_elements + t % lanes * size + d];
      out[g * size + d] = sum * factor[g];
    }
}

CLONES void all_values(const float* weight, std::int64_t weight_stride, std::int64_t group, const float* values,
                       const std::int32_t* block, std::int64_t block_elements, std::int64_t size, std::int64_t length,
                       const float* factor, float* out) {
  std::int64_t g = 0;
  for (; g + 4 <= group; g += 4)
    group_values<4>(weight + g * weight_stride, weight_stride, values, block, block_elements, size, length, factor + g,
                    out + g * size);
  for (; g + 3 <= group; g += 3)
    group_values<3>(weight + g * weight_stride, weight_stride, values, block, block_elements, size, length, factor + g,
                    out + g * size);
  for (; g < group; ++g)
    group_values<1>(weight + g * weight_stride, weight_stride, values, block, block_elements, size, length, factor + g,
                    out + g * size);
}

// Turns one key head's queries and its key, and puts key and value into the cache.
CLONES void write_head(const CachedLayer& a, std::int64_t row, std::int64_t head) {
  const std::int64_t size = a.size, group = a.group, stride = (group + 2) * a.kv_heads * size, half = size / 2;
  const float *cos = a.cos + row * half, *sin = a.sin + row * half;
  const float* from = a.qkv + row * stride;
  float* to = a.turned + row * stride;
  const auto turn = [&](std::int64_t at, const float* norm) {
    if (norm) {
      const float factor = norm_factor(from + at, size, a.norm_eps);
      for (std::int64_t d = 0; d < size; ++d) to[at + d] = from[at + d] * factor * norm[d];
    }
    turn_head(to + at, half, cos, sin, 1.0f);
  };
  for (std::int64_t g = 0; g < group; ++g) turn((head * group + g) * size, a.q_norm);
  const std::int64_t key = (a.kv_heads * group + head) * size;
  turn(key, a.k_norm);
  const auto [block, position] = a.token[row];
  const std::int64_t at = (block[position / lanes] * a.kv_heads + head) * size * lanes, lane = position % lanes;
  for (std::int64_t d = 0; d < size; ++d) a.keys[at + d * lanes + lane] = to[key + d];
  std::copy_n(from + key + a.kv_heads * size, size, a.values + at + lane * size);
}

// What one key head's queries of a token see. scores: [group][tokens up to a whole block].
void attend_head(const CachedLayer& a, std::int64_t row, std::int64_t head, float* scores) {
  constexpr std::int64_t most = 64;  // queries of a key head, in steps
  const std::int64_t size = a.size, group = a.group, heads = a.kv_heads * group;
  const std::int64_t block_elements = a.kv_heads * size * lanes, part = head * size * lanes;
  const std::int64_t seen = a.token[row].position + 1,
                     first = a.window > 0 ? std::max<std::int64_t>(0, seen - a.window) : 0;
  const std::int64_t first_block = first / lanes, blocks = (seen + lanes - 1) / lanes - first_block;
  const std::int64_t skipped = first_block * lanes, length = seen - skipped, padded = blocks * lanes;
  const std::int32_t* block = a.token[row].block + first_block;
  const float* query = a.turned + row * (group + 2) * a.kv_heads * size + head * group * size;
  float* out = a.out + (row * heads + head * group) * size;
  for (std::int64_t begin = 0; begin < group; begin += most) {
    const std::int64_t n = std::min(most, group - begin);
    float factor[most];
    all_scores(query + begin * size, n, size, a.keys + part, a.values + part, block, blocks, block_elements, a.scale,
               scores);
    for (std::int64_t g = 0; g < n; ++g) {
      const float lse = softmax_row(scores + g * padded, first - skipped, length, padded, factor + g);
      if (a.lse) a.lse[row * heads + head * group + begin + g] = lse;
    }
    all_values(scores, padded, n, a.values + part, block, block_elements, size, length, factor, out + begin * size);
  }
}

}  // namespace

std::int64_t cached_attention_scratch(std::int64_t longest, std::int64_t group) {
  return omp_get_max_threads() * group * ((longest + lanes - 1) / lanes * lanes + lanes);
}

void write_cache(const CachedLayer& a) {
#pragma omp for schedule(static)
  for (std::int64_t i = 0; i < a.n * a.kv_heads; ++i) write_head(a, i / a.kv_heads, i % a.kv_heads);
}

// Heads outside, tokens inside: sequences of a group lie side by side and share most blocks, which are then read from
// memory by one thread, once.
void cached_attention(const CachedLayer& a, std::int64_t longest, float* scratch) {
  float* scores = scratch + omp_get_thread_num() * (cached_attention_scratch(longest, a.group) / omp_get_max_threads());
#pragma omp for schedule(static)
  for (std::int64_t i = 0; i < a.n * a.kv_heads; ++i) attend_head(a, i % a.n, i / a.n, scores);
}

}  // namespace grpo::transformer::simd
