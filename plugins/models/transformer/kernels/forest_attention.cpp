// Attention of a forest and its backward, block by block.
//
// Main idea. A block of queries and keys is merged with those before it by the log-sum-exp, exactly; and given that of
// all blocks, each block's part of the gradients is a matter of its own:
//     p = exp(scale q k' - lse)   ds = scale p (dout v' - sum(dout out))   dq += ds k   dk += ds' q   dv += p' dout
// A task is a few queries of one key head against up to `most_keys` keys, whose scores stay in the second-level cache.
// What it adds to out and dq is its own; what it adds to dk and dv is kept apart and summed in the order of the tasks.
// Blocks that share queries or keys come one after the other, in passes.
// (FlashAttention-2, Dao 2023; here queries are shared out, for a group has many and its prompt few keys.)
#include <omp.h>

#include <algorithm>
#include <vector>

#include "lanes.hpp"
#include "simd.hpp"

namespace grpo::transformer::simd {
namespace {

constexpr std::int64_t most_keys = 512;    // of a task
constexpr std::int64_t most_queries = 64;  // tokens of a task
constexpr std::int64_t strip = 32;         // queries whose scores are at hand at once

std::int64_t whole_vectors(std::int64_t n) { return (n + lanes - 1) / lanes * lanes; }

// C [m, n] = A B, or += : element (i, l) of A is a[i * a_row + l * a_next]; n is a multiple of 16.
struct Operands {
  const float* a;
  std::int64_t a_row, a_next;
  const float* b;
  std::int64_t b_row;
  float* c;
  std::int64_t c_row;
  bool add;
};

template <int Rows, int Vectors>
INLINE void product_tile(const Operands& o, std::int64_t i, std::int64_t j, std::int64_t depth) {
  Floats sum[Rows][Vectors];
  float* c = o.c + i * o.c_row + j;
  for (int r = 0; r < Rows; ++r)
    for (int v = 0; v < Vectors; ++v) {
      if (o.add) {
        load(c + r * o.c_row + v * lanes, sum[r][v]);
      } else {
        sum[r][v] = Floats{};
      }
    }
  const float *a = o.a + i * o.a_row, *b = o.b + j;
  for (std::int64_t l = 0; l < depth; ++l, a += o.a_next, b += o.b_row) {
    Floats part[Vectors];
    for (int v = 0; v < Vectors; ++v) load(b + v * lanes, part[v]);
    for (int r = 0; r < Rows; ++r) {
      const float value = a[r * o.a_row];
      for (int v = 0; v < Vectors; ++v) sum[r][v] += part[v] * value;
    }
  }
  for (int r = 0; r < Rows; ++r)
    for (int v = 0; v < Vectors; ++v) store(sum[r][v], c + r * o.c_row + v * lanes);
}

template <int Rows, int Most>
INLINE void product_rows(const Operands& o, std::int64_t i, std::int64_t n, std::int64_t depth) {
  std::int64_t j = 0;
  for (; j + Most * lanes <= n; j += Most * lanes) product_tile<Rows, Most>(o, i, j, depth);
  if constexpr (Most > 2)
    for (; j + 2 * lanes <= n; j += 2 * lanes) product_tile<Rows, 2>(o, i, j, depth);
  if constexpr (Most > 1)
    for (; j < n; j += lanes) product_tile<Rows, 1>(o, i, j, depth);
}

template <int Highest, int Most>
INLINE void product(const Operands& o, std::int64_t m, std::int64_t n, std::int64_t depth) {
  std::int64_t i = 0;
  for (; i + Highest <= m; i += Highest) product_rows<Highest, Most>(o, i, n, depth);
  for (; i + 2 <= m; i += 2) product_rows<2, Most>(o, i, n, depth);
  for (; i < m; ++i) product_rows<1, Most>(o, i, n, depth);
}

struct Task {
  std::int64_t block, head, q, q_size;  // queries from q on, of the block
  std::int64_t sums;                    // where its part of dk and dv is in scratch: [2][keys][size]
};

// What one thread works with: rows of so many keys that they do not all fall into the same sets of a cache.
struct Space {
  Space(float* memory, std::int64_t size, std::int64_t n)
      : row(row_size(n)),
        keys(memory),
        values(keys + size * row),
        weights(values + size * row),
        gradients(weights + strip * row) {}

  static std::int64_t row_size(std::int64_t n) { return (whole_vectors(n) / lanes | 1) * lanes; }
  static std::int64_t floats(std::int64_t size) { return 2 * row_size(most_keys) * (size + strip); }

  std::int64_t row;
  float *keys, *values;        // [size][row], turned
  float *weights, *gradients;  // [strip][row]: p and ds
};

// out[d][j] = row j's place d; zeros up to a whole vector.
INLINE void turn_rows(const float* from, std::int64_t stride, std::int64_t n, std::int64_t size, std::int64_t row,
                      float* out) {
  for (std::int64_t j = 0; j < n; ++j)
    for (std::int64_t d = 0; d < size; ++d) out[d * row + j] = from[j * stride + d];
  for (std::int64_t d = 0; d < size; ++d) std::fill(out + d * row + n, out + d * row + whole_vectors(n), 0.f);
}

// What is not seen of the keys [j, j + 16): of those, [low, high) are.
INLINE void hide(std::int64_t j, std::int64_t low, std::int64_t high, float hidden, Floats& x) {
  if (j >= low && j + lanes <= high) return;
  for (std::int64_t i = 0; i < lanes; ++i) x[i] = j + i >= low && j + i < high ? x[i] : hidden;
}

// Of one query: scores become p, and what dout v' left becomes ds.
INLINE void weigh(float* scores, float* gradients, std::int64_t n, std::int64_t low, std::int64_t high, float scale,
                  float lse, float delta) {
  Floats s, d, p;
  for (std::int64_t j = 0; j < n; j += lanes) {
    load(scores + j, s);
    load(gradients + j, d);
    exp_lanes(s * scale - lse, p);
    hide(j, low, high, 0.f, p);
    store(p, scores + j);
    store(p * (d - delta) * scale, gradients + j);
  }
}

// Of one query: scores become weights that sum to this block's share of all so far, whose log-sum-exp is brought up to
// date. Returns the share of those before.
INLINE float merge(float* scores, std::int64_t n, std::int64_t low, std::int64_t high, float scale, float& lse) {
  Floats s, e, best = Floats{} - INFINITY, sum{};
  for (std::int64_t j = 0; j < n; j += lanes) {
    load(scores + j, s);
    s = s * scale;
    hide(j, low, high, -INFINITY, s);
    store(s, scores + j);
    best = s > best ? s : best;
  }
  const float top = std::max(max_lanes(best), lse);
  for (std::int64_t j = 0; j < n; j += lanes) {
    load(scores + j, s);
    exp_lanes(s - top, e);
    store(e, scores + j);
    sum += e;
  }
  const float before = std::exp(lse - top), total = before + sum_lanes(sum), factor = 1.0f / total;
  for (std::int64_t j = 0; j < n; j += lanes) {
    load(scores + j, s);
    store(s * factor, scores + j);
  }
  lse = top + std::log(total);
  return before * factor;
}

// The keys of the block that query t of it sees: [low, high).
struct Seen {
  std::int64_t low, high;
};
INLINE Seen seen(const AttentionBlock& b, std::int64_t t) {
  if (b.visible_from_all) return {0, b.k_size};
  const std::int64_t last = b.distance + t;
  return {b.window > 0 ? std::clamp<std::int64_t>(last - b.window + 1, 0, b.k_size) : 0,
          std::clamp<std::int64_t>(last + 1, 0, b.k_size)};
}

// Some queries of a task, of one head, and the keys that any of them sees.
struct Strip {
  std::int64_t head, begin, n;  // from that query of the block on
  std::int64_t at;              // token of the first
  std::int64_t low, width, padded;
};

template <typename Body>
INLINE void for_strips(const ForestAttention& a, const Task& task, const Body& body) {
  const AttentionBlock& b = a.block[task.block];
  for (std::int64_t head = task.head * a.group; head < (task.head + 1) * a.group; ++head)
    for (std::int64_t t = task.q; t < task.q + task.q_size; t += strip) {
      const std::int64_t n = std::min(strip, task.q + task.q_size - t);
      const std::int64_t low = seen(b, t).low / lanes * lanes, width = seen(b, t + n - 1).high - low;
      if (width > 0) body(Strip{head, t, n, b.q + t, low, width, whole_vectors(width)});
    }
}

template <int Highest, int Most>
INLINE void run_forward(const ForestAttention& a, const Task& task, float* memory) {
  const AttentionBlock& b = a.block[task.block];
  const std::int64_t size = a.size, heads = a.kv_heads * a.group, out_stride = heads * size;
  const Space space(memory, size, b.k_size);
  const float* values = a.v + b.k * a.v_stride + task.head * size;
  turn_rows(a.k + b.k * a.qk_stride + task.head * size, a.qk_stride, b.k_size, size, space.row, space.keys);
  for_strips(
      a, task, [&](const Strip& s) __attribute__((always_inline)) {
        float* out = a.out + s.at * out_stride + s.head * size;
        product<Highest, Most>({a.q + s.at * a.qk_stride + s.head * size, a.qk_stride, 1, space.keys + s.low, space.row,
                                space.weights, space.row, false},
                               s.n, s.padded, size);
        for (std::int64_t i = 0; i < s.n; ++i) {
          const auto [from, to] = seen(b, s.begin + i);
          float* weights = space.weights + i * space.row;
          if (from >= to) {  // of the strip's keys, this one sees none
            std::fill(weights, weights + s.padded, 0.f);
            continue;
          }
          const float share =
              merge(weights, s.padded, from - s.low, to - s.low, a.scale, a.lse[(s.at + i) * heads + s.head]);
          for (std::int64_t d = 0; d < size; ++d) out[i * out_stride + d] *= share;
        }
        product<Highest, Most>(
            {space.weights, space.row, 1, values + s.low * a.v_stride, a.v_stride, out, out_stride, true}, s.n, size,
            s.width);
      });
}

template <int Highest, int Most>
INLINE void run_backward(const ForestAttention& a, const ForestAttentionGradients& g, const Task& task, float* memory,
                         float* dk, float* dv) {
  const AttentionBlock& b = a.block[task.block];
  const std::int64_t size = a.size, heads = a.kv_heads * a.group, stride = a.qk_stride, out_stride = heads * size;
  const Space space(memory, size, b.k_size);
  const float* keys = a.k + b.k * stride + task.head * size;
  turn_rows(keys, stride, b.k_size, size, space.row, space.keys);
  turn_rows(a.v + b.k * a.v_stride + task.head * size, a.v_stride, b.k_size, size, space.row, space.values);
  std::fill(dk, dk + b.k_size * size, 0.f);
  std::fill(dv, dv + b.k_size * size, 0.f);
  for_strips(
      a, task, [&](const Strip& s) __attribute__((always_inline)) {
        const float *q = a.q + s.at * stride + s.head * size, *dout = g.dout + s.at * out_stride + s.head * size;
        const float* out = a.out + s.at * out_stride + s.head * size;
        product<Highest, Most>({q, stride, 1, space.keys + s.low, space.row, space.weights, space.row, false}, s.n,
                               s.padded, size);
        product<Highest, Most>(
            {dout, out_stride, 1, space.values + s.low, space.row, space.gradients, space.row, false}, s.n, s.padded,
            size);
        for (std::int64_t i = 0; i < s.n; ++i) {
          const auto [from, to] = seen(b, s.begin + i);
          weigh(space.weights + i * space.row, space.gradients + i * space.row, s.padded, from - s.low, to - s.low,
                a.scale, a.lse[(s.at + i) * heads + s.head],
                dot_lanes(dout + i * out_stride, out + i * out_stride, size));
        }
        product<Highest, Most>({space.gradients, space.row, 1, keys + s.low * stride, stride,
                                g.dq + s.at * g.stride + s.head * size, g.stride, true},
                               s.n, size, s.width);
        product<Highest, Most>({space.gradients, 1, space.row, q, stride, dk + s.low * size, size, true}, s.width, size,
                               s.n);
        product<Highest, Most>({space.weights, 1, space.row, dout, out_stride, dv + s.low * size, size, true}, s.width,
                               size, s.n);
      });
}

// One version for each size of register file, as in group_sums.cpp.
struct Version {
  void (*forward)(const ForestAttention&, const Task&, float* memory);
  void (*backward)(const ForestAttention&, const ForestAttentionGradients&, const Task&, float* memory, float* dk,
                   float* dv);
};
#define VERSION(name, attributes, highest, most)                                                                 \
  attributes void forward_##name(const ForestAttention& a, const Task& task, float* memory) {                    \
    run_forward<highest, most>(a, task, memory);                                                                 \
  }                                                                                                              \
  attributes void backward_##name(const ForestAttention& a, const ForestAttentionGradients& g, const Task& task, \
                                  float* memory, float* dk, float* dv) {                                         \
    run_backward<highest, most>(a, g, task, memory, dk, dv);                                                     \
  }                                                                                                              \
  constexpr Version name{forward_##name, backward_##name};
#if defined(__x86_64__)
VERSION(v4, __attribute__((target("arch=x86-64-v4"))), 6, 4)
VERSION(v3, __attribute__((target("arch=x86-64-v3"))), 6, 1)
#endif
VERSION(plain, , 2, 1)
#undef VERSION

const Version& version_of_this_machine() {
  switch (registers_of_this_machine()) {
#if defined(__x86_64__)
    case Registers::v4:
      return v4;
    case Registers::v3:
      return v3;
#endif
    default:
      return plain;
  }
}

// Blocks cut to most_keys keys, in passes: within one, no two share queries or keys.
struct Plan {
  std::vector<AttentionBlock> blocks;
  std::vector<std::vector<Task>> passes;
  std::int64_t sums = 0;  // floats, of the pass that needs most

  explicit Plan(const ForestAttention& a) {
    std::vector<std::vector<std::int64_t>> members;
    for (std::int64_t i = 0; i < a.blocks; ++i)
      for (std::int64_t k = 0; k < a.block[i].k_size; k += most_keys) place(part(a.block[i], k), members);
    for (const auto& pass : members) passes.push_back(tasks(pass, a));
  }

 private:
  static AttentionBlock part(AttentionBlock b, std::int64_t skip) {
    b.k += skip;
    b.k_size = std::min(most_keys, b.k_size - skip);
    b.distance -= skip;
    return b;
  }

  static bool overlap(std::int64_t x, std::int64_t n, std::int64_t y, std::int64_t m) { return x < y + m && y < x + n; }

  void place(const AttentionBlock& b, std::vector<std::vector<std::int64_t>>& members) {
    const auto meets = [&](std::int64_t other) {
      const auto& o = blocks[static_cast<std::size_t>(other)];
      return overlap(b.q, b.q_size, o.q, o.q_size) || overlap(b.k, b.k_size, o.k, o.k_size);
    };
    blocks.push_back(b);
    const auto own = static_cast<std::int64_t>(blocks.size()) - 1;
    for (auto& pass : members)
      if (std::none_of(pass.begin(), pass.end(), meets)) return pass.push_back(own);
    members.push_back({own});
  }

  std::vector<Task> tasks(const std::vector<std::int64_t>& pass, const ForestAttention& a) {
    std::vector<Task> tasks;
    std::int64_t at = 0;
    for (const auto i : pass) {
      const auto& b = blocks[static_cast<std::size_t>(i)];
      for (std::int64_t head = 0; head < a.kv_heads; ++head)
        for (std::int64_t q = 0; q < b.q_size; q += most_queries) {
          tasks.push_back({i, head, q, std::min(most_queries, b.q_size - q), at});
          at += 2 * b.k_size * a.size;
        }
    }
    sums = std::max(sums, at);
    return tasks;
  }
};

// dk and dv of the tasks from `first` on that share a block and a head.
CLONES void add_sums(const ForestAttention& a, const ForestAttentionGradients& g, const std::vector<Task>& tasks,
                     std::size_t first, const float* sums) {
  const Task& one = tasks[first];
  const AttentionBlock& b = a.block[one.block];
  for (std::size_t i = first; i < tasks.size() && tasks[i].block == one.block && tasks[i].head == one.head; ++i) {
    const float *dk = sums + tasks[i].sums, *dv = dk + b.k_size * a.size;
    for (std::int64_t j = 0; j < b.k_size; ++j) {
      const std::int64_t at = (b.k + j) * g.stride + one.head * a.size;
      for (std::int64_t d = 0; d < a.size; ++d) g.dk[at + d] += dk[j * a.size + d];
      for (std::int64_t d = 0; d < a.size; ++d) g.dv[at + d] += dv[j * a.size + d];
    }
  }
}

}  // namespace

std::int64_t forest_attention_scratch(const ForestAttention& a) {
  return Plan(a).sums + omp_get_max_threads() * Space::floats(a.size);
}

void forest_attention(const ForestAttention& whole, float* scratch) {
  static const Version& version = version_of_this_machine();
  const Plan plan(whole);
  ForestAttention a = whole;
  a.block = plan.blocks.data();
  const std::int64_t heads = a.kv_heads * a.group;
#pragma omp parallel
  {
    float* const own = scratch + omp_get_thread_num() * Space::floats(a.size);
#pragma omp for schedule(static)
    for (std::int64_t t = 0; t < a.tokens; ++t) {
      std::fill_n(a.out + t * heads * a.size, heads * a.size, 0.f);
      std::fill_n(a.lse + t * heads, heads, -INFINITY);
    }
    for (const auto& tasks : plan.passes) {
#pragma omp for schedule(dynamic)
      for (std::size_t i = 0; i < tasks.size(); ++i) version.forward(a, tasks[i], own);
    }
  }
}

void forest_attention_backward(const ForestAttention& whole, const ForestAttentionGradients& g, float* scratch) {
  static const Version& version = version_of_this_machine();
  const Plan plan(whole);
  ForestAttention a = whole;
  a.block = plan.blocks.data();
  float* const sums = scratch + omp_get_max_threads() * Space::floats(a.size);
#pragma omp parallel
  {
    float* const own = scratch + omp_get_thread_num() * Space::floats(a.size);
#pragma omp for schedule(static)
    for (std::int64_t t = 0; t < a.tokens; ++t) {
      std::fill_n(g.dq + t * g.stride, a.kv_heads * a.group * a.size, 0.f);
      std::fill_n(g.dk + t * g.stride, a.kv_heads * a.size, 0.f);
      std::fill_n(g.dv + t * g.stride, a.kv_heads * a.size, 0.f);
    }
    for (const auto& tasks : plan.passes) {
#pragma omp for schedule(dynamic)
      for (std::size_t i = 0; i < tasks.size(); ++i) {
        float* dk = sums + tasks[i].sums;
        version.backward(a, g, tasks[i], own, dk, dk + a.block[tasks[i].block].k_size * a.size);
      }
#pragma omp for schedule(dynamic)
      for (std::size_t i = 0; i < tasks.size(); ++i)
        if (tasks[i].q == 0) add_sums(a, g, tasks, i, sums);
    }
  }
}

}  // namespace grpo::transformer::simd
