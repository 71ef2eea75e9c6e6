// Attention of single tokens over a cache in blocks.
//
// Main idea. Sequences of a group begin with the same blocks, those of their prompt. Rows side by side that do are a
// run: their queries pass together over each shared block, which is then at hand in the first-level cache, and each
// row goes on alone over its own. A query's sums run over its tokens in order either way, so its bits do not depend on
// whom it shares with.
#include <omp.h>

#include <algorithm>
#include <cmath>

#include "lanes.hpp"
#include "simd.hpp"

namespace grpo::transformer::simd {
namespace {

// scores[g][16 tokens of the block] = query g . keys, for a few queries at once; two sums each, over even and odd
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

// scores[g] [blocks x 16]. Blocks lie apart, so each is fetched while the one before it is worked on; after the last
// come the first values.
CLONES void all_scores(const float* query, std::int64_t group, std::int64_t size, const float* keys,
                       const float* values, const std::int32_t* block, std::int64_t blocks, std::int64_t block_step,
                       float scale, float* scores, std::int64_t row) {
  for (std::int64_t b = 0; b < blocks; ++b) {
    const float* from = keys + block[b] * block_step;
    const float* ahead = b + 1 < blocks ? keys + block[b + 1] * block_step : values + block[0] * block_step;
    float* to = scores + b * lanes;
    std::int64_t g = 0;
    for (; g + 6 <= group; g += 6) block_scores<6>(query + g * size, size, from, ahead, scale, to + g * row, row);
    for (; g + 4 <= group; g += 4) block_scores<4>(query + g * size, size, from, ahead, scale, to + g * row, row);
    for (; g + 3 <= group; g += 3) block_scores<3>(query + g * size, size, from, ahead, scale, to + g * row, row);
    for (; g < group; ++g) block_scores<1>(query + g * size, size, from, ahead, scale, to + g * row, row);
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

// sum[g][d] += weight[g] * value over tokens, for Group queries and Vectors x 16 places at once.
template <int Group, int Vectors>
INLINE void sum_values(const float* weight, std::int64_t weight_stride, const float* values, const std::int32_t* block,
                       std::int64_t block_step, std::int64_t size, std::int64_t length, float* sums) {
  Floats sum[Group][Vectors], v[Vectors];
  for (int g = 0; g < Group; ++g)
    for (int i = 0; i < Vectors; ++i) load(sums + g * size + i * lanes, sum[g][i]);
  for (std::int64_t begin = 0; begin < length; begin += lanes) {
    const float* from = values + block[begin / lanes] * block_step;
    const float* ahead = begin + lanes < length ? values + block[begin / lanes + 1] * block_step : from;
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
    for (int i = 0; i < Vectors; ++i) store(sum[g][i], sums + g * size + i * lanes);
}

template <int Group>
INLINE void group_values(const float* weight, std::int64_t weight_stride, const float* values,
                         const std::int32_t* block, std::int64_t block_step, std::int64_t size, std::int64_t length,
                         float* sums) {
  std::int64_t d = 0;
  for (; d + 4 * lanes <= size; d += 4 * lanes)
    sum_values<Group, 4>(weight, weight_stride, values + d, block, block_step, size, length, sums + d);
  for (; d + lanes <= size; d += lanes)
    sum_values<Group, 1>(weight, weight_stride, values + d, block, block_step, size, length, sums + d);
  for (; d < size; ++d)
    for (int g = 0; g < Group; ++g) {
      float sum = sums[g * size + d];
      for (std::int64_t t = 0; t < length; ++t)
        sum += weight[g * weight_stride + t] * values[block[t / lanes] * block_step + t % lanes * size + d];
      sums[g * size + d] = sum;
    }
}

// sums[g] [size] += what the tokens of the blocks add; their values, `length` of them.
CLONES void all_values(const float* weight, std::int64_t row, std::int64_t group, const float* values,
                       const std::int32_t* block, std::int64_t block_step, std::int64_t size, std::int64_t length,
                       float* sums) {
  std::int64_t g = 0;
  for (; g + 4 <= group; g += 4)
    group_values<4>(weight + g * row, row, values, block, block_step, size, length, sums + g * size);
  for (; g + 3 <= group; g += 3)
    group_values<3>(weight + g * row, row, values, block, block_step, size, length, sums + g * size);
  for (; g < group; ++g)
    group_values<1>(weight + g * row, row, values, block, block_step, size, length, sums + g * size);
}

CLONES void scale_rows(const float* sums, std::int64_t rows, std::int64_t size, const float* factor, float* out) {
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t d = 0; d < size; ++d) out[r * size + d] = sums[r * size + d] * factor[r];
}

// Turns one key head's queries and its key, and puts key and value into the cache.
CLONES void write_head(const CachedLayer& a, std::int64_t row, std::int64_t head) {
  const std::int64_t size = a.size, group = a.group, half = size / 2;
  const float *cos = a.cos + row * half, *sin = a.sin + row * half;
  const float* from = a.qkv + row * a.step;
  float* to = a.turned + row * a.turned_step;
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
  const std::int64_t at = block[position / lanes] * a.block_step + head * size * lanes, lane = position % lanes;
  for (std::int64_t d = 0; d < size; ++d) a.keys[at + d * lanes + lane] = to[key + d];
  std::copy_n(from + key + a.kv_heads * size, size, a.values + at + lane * size);
}

constexpr std::int64_t most_queries = 64;  // of a run, and of a key head in one go
constexpr std::int64_t most_rows = 16;     // of a run

// The tokens that a row sees, from a whole block on.
struct Seen {
  Seen(const CachedLayer& a, std::int64_t row) {
    const std::int64_t end = a.token[row].position + 1,
                       begin = a.window > 0 ? std::max<std::int64_t>(0, end - a.window) : 0;
    const std::int64_t skipped = begin / lanes;
    block = a.token[row].block + skipped;
    blocks = (end + lanes - 1) / lanes - skipped;
    first = begin - skipped * lanes;
    length = end - skipped * lanes;
  }
  const std::int32_t* block;
  std::int64_t blocks, first, length;  // of `length` tokens those before `first` are not seen
};

// Rows [begin, end) and how many whole blocks, their first, they share.
struct RowsOfRun {
  std::int64_t begin, end, shared;
};

std::int64_t rows_of_run(const CachedLayer& a) {
  const std::int64_t wanted = a.n * a.kv_heads / (2 * omp_get_num_threads());  // enough runs for all threads
  return std::clamp<std::int64_t>(std::min(wanted, most_queries / a.group), 1, most_rows);
}

// How many whole blocks the sequences of two rows have in common. The last one of a row may still be written to.
std::int64_t common_blocks(const CachedToken& a, const CachedToken& b) {
  const std::int64_t most = std::min(a.position, b.position) / lanes;
  return std::mismatch(a.block, a.block + most, b.block).first - a.block;
}

// Neighbours of a group have the same number of blocks in common; where two have more or fewer, another run begins.
RowsOfRun run_from(const CachedLayer& a, std::int64_t begin, std::int64_t end) {
  RowsOfRun run{begin, begin + 1, 0};
  if (a.window > 0) return run;
  for (; run.end < end; ++run.end) {
    const std::int64_t common = common_blocks(a.token[run.end - 1], a.token[run.end]);
    if (run.end == begin + 1) run.shared = common;
    if (common > run.shared) --run.end;
    if (common == 0 || common != run.shared) break;
  }
  if (run.end == begin + 1) run.shared = 0;
  return run;
}

std::int64_t scores_row(std::int64_t longest) { return (longest + lanes - 1) / lanes * lanes + lanes; }

// What the queries of one key head see, all rows of a run. memory: see cached_attention_scratch.
void attend_run(const CachedLayer& a, const RowsOfRun& run, std::int64_t head, float* memory) {
  const std::int64_t size = a.size, rows = run.end - run.begin;
  std::int64_t longest = 0;
  for (std::int64_t r = run.begin; r < run.end; ++r) longest = std::max(longest, a.token[r].position + 1);
  const std::int64_t row = scores_row(longest);
  const float *keys = a.keys + head * size * lanes, *values = a.values + head * size * lanes;
  for (std::int64_t begin = 0; begin < a.group; begin += most_queries) {
    const std::int64_t n = std::min(most_queries, a.group - begin), first_head = head * a.group + begin;
    float *query = memory, *sums = query + rows * n * size, *scores = sums + rows * n * size, factor[most_queries];
    for (std::int64_t r = 0; r < rows; ++r)
      std::copy_n(a.turned + (run.begin + r) * a.turned_step + first_head * size, n * size, query + r * n * size);
    std::fill_n(sums, rows * n * size, 0.f);
    const std::int32_t* shared = a.token[run.begin].block;
    if (run.shared > 0)
      all_scores(query, rows * n, size, keys, values, shared, run.shared, a.block_step, a.scale, scores, row);
    for (std::int64_t r = 0; r < rows; ++r) {
      const Seen seen(a, run.begin + r);
      float* of_row = scores + r * n * row;
      all_scores(query + r * n * size, n, size, keys, values, seen.block + run.shared, seen.blocks - run.shared,
                 a.block_step, a.scale, of_row + run.shared * lanes, row);
      for (std::int64_t g = 0; g < n; ++g) {
        const float lse =
            softmax_row(of_row + g * row, seen.first, seen.length, seen.blocks * lanes, factor + r * n + g);
        if (a.lse) a.lse[(run.begin + r) * a.step + first_head + g] = lse;
      }
    }
    for (std::int64_t b = 0; b < run.shared; ++b)
      all_values(scores + b * lanes, row, rows * n, values, shared + b, a.block_step, size, lanes, sums);
    for (std::int64_t r = 0; r < rows; ++r) {
      const Seen seen(a, run.begin + r);
      all_values(scores + r * n * row + run.shared * lanes, row, n, values, seen.block + run.shared, a.block_step, size,
                 seen.length - run.shared * lanes, sums + r * n * size);
      scale_rows(sums + r * n * size, n, size, factor + r * n, a.out + (run.begin + r) * a.step + first_head * size);
    }
  }
}

}  // namespace

// Of each thread: [queries][size] twice, and their scores.
std::int64_t cached_attention_scratch(std::int64_t longest, std::int64_t group, std::int64_t size) {
  const std::int64_t queries =
      std::max(std::min(group, most_queries), std::min(most_queries / group, most_rows) * group);
  return omp_get_max_threads() * queries * (2 * size + scores_row(longest));
}

void write_cache(const CachedLayer& a) {
#pragma omp for schedule(static)
  for (std::int64_t i = 0; i < a.n * a.kv_heads; ++i) write_head(a, i / a.kv_heads, i % a.kv_heads);
}

void cached_attention(const CachedLayer& a, std::int64_t longest, float* scratch) {
  const std::int64_t own = cached_attention_scratch(longest, a.group, a.size) / omp_get_max_threads();
  float* memory = scratch + omp_get_thread_num() * own;
  const std::int64_t step = rows_of_run(a), places = (a.n + step - 1) / step;
#pragma omp for schedule(dynamic)
  for (std::int64_t i = 0; i < places * a.kv_heads; ++i) {
    const std::int64_t end = std::min(a.n, (i % places + 1) * step);
    for (std::int64_t row = i % places * step; row < end;) {
      const RowsOfRun run = run_from(a, row, end);
      attend_run(a, run, i / places, memory);
      row = run.end;
    }
  }
}

}  // namespace grpo::transformer::simd
