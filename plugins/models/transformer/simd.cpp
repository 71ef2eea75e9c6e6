// Row kernels are compiled for three instruction sets (target_clones); the loops over rows around them once.
#include "simd.hpp"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CLONES
#endif
#define INLINE __attribute__((always_inline)) static inline

namespace grpo::transformer::simd {
namespace {

constexpr std::int64_t lanes = 16;
using Floats = float __attribute__((vector_size(64)));
using Ints = std::int32_t __attribute__((vector_size(64)));

INLINE void load(const float* from, Floats& to) { std::memcpy(&to, from, sizeof to); }
INLINE void store(const Floats& from, float* to) { std::memcpy(to, &from, sizeof from); }

// The lanes added in pairs: the same order everywhere.
INLINE float sum_lanes(const Floats& v) {
  float x[lanes];
  store(v, x);
  for (std::int64_t half = lanes / 2; half > 0; half /= 2)
    for (std::int64_t i = 0; i < half; ++i) x[i] += x[i + half];
  return x[0];
}

// exp to about 1 ulp: x = n ln 2 + r, a polynomial in r, n into the exponent. Under -87.3: 0.
INLINE void exp_lanes(const Floats& x, Floats& y) {
  const Floats magic = Floats{} + 12582912.0f;  // 1.5 * 2^23: rounds to an integer in the low bits
  const Floats clamped = x > -87.3f ? (x < 88.7f ? x : Floats{} + 88.7f) : Floats{} - 87.3f;
  const Floats shifted = clamped * 1.44269504088896341f + magic;
  const Floats n = shifted - magic;
  const Floats r = clamped - n * 0.693359375f + n * 2.12194440e-4f;
  Floats p = Floats{} + 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  Ints bits, power;
  std::memcpy(&bits, &shifted, sizeof bits);
  std::memcpy(&power, &p, sizeof power);
  power += bits << 23;
  std::memcpy(&p, &power, sizeof p);
  y = x > -87.3f ? p : Floats{};
}

INLINE float exp_one(float x) {
  const Floats v = Floats{} + x;
  Floats y;
  exp_lanes(v, y);
  return y[0];
}

CLONES float dot(const float* a, const float* b, std::int64_t n) {
  Floats sum{}, x, y;
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    load(a + i, x);
    load(b + i, y);
    sum += x * y;
  }
  float rest = 0;
  for (; i < n; ++i) rest += a[i] * b[i];
  return sum_lanes(sum) + rest;
}

CLONES void scale_row(const float* x, const float* weight, float factor, std::int64_t n, float* y) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = x[i] * factor * weight[i];
}

CLONES float dot3(const float* a, const float* b, const float* c, std::int64_t n) {
  Floats sum{}, x, y, z;
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    load(a + i, x);
    load(b + i, y);
    load(c + i, z);
    sum += x * y * z;
  }
  float rest = 0;
  for (; i < n; ++i) rest += a[i] * b[i] * c[i];
  return sum_lanes(sum) + rest;
}

CLONES void norm_backward_row(const float* dy, const float* x, const float* weight, float rstd, float mean,
                              std::int64_t n, float* dx, bool accumulate, float* dweight) {
  for (std::int64_t i = 0; i < n; ++i) dweight[i] += dy[i] * x[i] * rstd;  // first: dx may be dy
  if (accumulate) {
    for (std::int64_t i = 0; i < n; ++i) dx[i] += rstd * (dy[i] * weight[i] - x[i] * rstd * mean);
  } else {
    for (std::int64_t i = 0; i < n; ++i) dx[i] = rstd * (dy[i] * weight[i] - x[i] * rstd * mean);
  }
}

CLONES void rope_head(float* x, std::int64_t half, const float* cos, const float* sin, float direction) {
  for (std::int64_t i = 0; i < half; ++i) {
    const float a = x[i], b = x[i + half], s = sin[i] * direction;
    x[i] = a * cos[i] - b * s;
    x[i + half] = b * cos[i] + a * s;
  }
}

CLONES void swiglu_row(const float* gate, const float* up, std::int64_t n, float* out) {
  std::int64_t i = 0;
  Floats g, u, e;
  for (; i + lanes <= n; i += lanes) {
    load(gate + i, g);
    load(up + i, u);
    exp_lanes(-g, e);
    store(g / (e + 1.0f) * u, out + i);
  }
  for (; i < n; ++i) out[i] = gate[i] / (exp_one(-gate[i]) + 1.0f) * up[i];
}

CLONES void swiglu_backward_row(const float* dout, float* gate, float* up, std::int64_t n) {
  std::int64_t i = 0;
  Floats g, u, d, e;
  for (; i + lanes <= n; i += lanes) {
    load(gate + i, g);
    load(up + i, u);
    load(dout + i, d);
    exp_lanes(-g, e);
    const Floats s = 1.0f / (e + 1.0f);
    store(d * u * s * (g * (1.0f - s) + 1.0f), gate + i);
    store(d * g * s, up + i);
  }
  for (; i < n; ++i) {
    const float s = 1.0f / (exp_one(-gate[i]) + 1.0f), a = gate[i], b = up[i];
    gate[i] = dout[i] * b * s * (a * (1.0f - s) + 1.0f);
    up[i] = dout[i] * a * s;
  }
}

constexpr std::int64_t block_size = 512;  // what one fp32 sum may cover; a double takes over from there

// sum and weighted sum of exp((z - top) * scale) over up to 512 values
CLONES void exp_block(const float* z, std::int64_t n, float top, float scale, double* sum, double* weighted) {
  Floats s{}, w{}, v, e;
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    load(z + i, v);
    v = (v - top) * scale;
    exp_lanes(v, e);
    s += e;
    w += e * v;
  }
  float rest = 0, rest_weighted = 0;
  for (; i < n; ++i) {
    const float x = (z[i] - top) * scale, y = exp_one(x);
    rest += y;
    rest_weighted += y * x;
  }
  *sum = static_cast<double>(sum_lanes(s)) + rest;
  *weighted = static_cast<double>(sum_lanes(w)) + rest_weighted;
}

CLONES double exp_store_block(const float* z, std::int64_t n, float top, float scale, float* out) {
  Floats s{}, v, e;
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    load(z + i, v);
    exp_lanes((v - top) * scale, e);
    store(e, out + i);
    s += e;
  }
  float rest = 0;
  for (; i < n; ++i) rest += out[i] = exp_one((z[i] - top) * scale);
  return static_cast<double>(sum_lanes(s)) + rest;
}

CLONES void softmax_backward_row(float* z, std::int64_t n, float scale, float lse, float entropy, float a, float b) {
  std::int64_t i = 0;
  Floats v, p;
  for (; i + lanes <= n; i += lanes) {
    load(z + i, v);
    v = v * scale - lse;
    exp_lanes(v, p);
    store(p * (a + b * (v + entropy)) * -scale, z + i);
  }
  for (; i < n; ++i) {
    const float x = z[i] * scale - lse;
    z[i] = exp_one(x) * (a + b * (x + entropy)) * -scale;
  }
}

// Rows x 2 panels at once: the accumulators stay in registers, each weight is loaded once for all rows.
template <int Rows>
INLINE void tile(const float* x, std::int64_t inputs, const float* panel, Floats (&sum)[Rows][2]) {
  for (auto& row : sum) row[0] = row[1] = Floats{};
  const float* second = panel + inputs * lanes;
  for (std::int64_t k = 0; k < inputs; ++k) {
    Floats w0, w1;
    load(panel + k * lanes, w0);
    load(second + k * lanes, w1);
    for (int r = 0; r < Rows; ++r) {
      const float value = x[r * inputs + k];
      sum[r][0] += w0 * value;
      sum[r][1] += w1 * value;
    }
  }
}

INLINE void finish(const Floats& sum, const float* bias, std::int64_t n, bool add, float* y) {
  float v[lanes];
  store(sum, v);
  for (std::int64_t i = 0; i < n; ++i) {
    const float value = bias ? v[i] + bias[i] : v[i];
    y[i] = add ? y[i] + value : value;
  }
}

template <int Rows>
INLINE void rows_by_panels(const float* x, const float* panel, const float* bias, std::int64_t outputs,
                           std::int64_t inputs, bool add, float* y, std::int64_t y_stride) {
  Floats sum[Rows][2];
  tile<Rows>(x, inputs, panel, sum);
  for (int r = 0; r < Rows; ++r) {
    finish(sum[r][0], bias, std::min(outputs, lanes), add, y + r * y_stride);
    if (outputs > lanes)
      finish(sum[r][1], bias ? bias + lanes : nullptr, std::min(outputs - lanes, lanes), add, y + r * y_stride + lanes);
  }
}

constexpr std::int64_t row_tile = 12;  // 24 accumulators of 32 registers

// All rows against two panels (up to 32 outputs), in tiles of about equal height.
CLONES void linear_panels(const float* x, std::int64_t rows, const float* panel, const float* bias,
                          std::int64_t outputs, std::int64_t inputs, bool add, float* y, std::int64_t y_stride) {
  std::int64_t tiles = (rows + row_tile - 1) / row_tile;
  for (std::int64_t r = 0; r < rows; --tiles) {
    const std::int64_t n = (rows - r + tiles - 1) / tiles;
    const float* from = x + r * inputs;
    float* to = y + r * y_stride;
    switch (n) {
#define TILE(height)                                                               \
  case height:                                                                     \
    rows_by_panels<height>(from, panel, bias, outputs, inputs, add, to, y_stride); \
    break
      TILE(1);
      TILE(2);
      TILE(3);
      TILE(4);
      TILE(5);
      TILE(6);
      TILE(7);
      TILE(8);
      TILE(9);
      TILE(10);
      TILE(11);
      TILE(12);
#undef TILE
    }
    r += n;
  }
}

// scores[g][16 tokens of the block] = query g . keys, for up to four queries at once; two sums each, over even and odd
// places, hide the latency.
template <int Group>
INLINE void block_scores(const float* query, std::int64_t size, const float* keys, float scale, float* scores,
                         std::int64_t scores_stride) {
  Floats even[Group], odd[Group], k0, k1;
  for (int g = 0; g < Group; ++g) even[g] = odd[g] = Floats{};
  for (std::int64_t d = 0; d < size; d += 2) {  // size is even
    load(keys + d * lanes, k0);
    load(keys + (d + 1) * lanes, k1);
    for (int g = 0; g < Group; ++g) {
      even[g] += k0 * query[g * size + d];
      odd[g] += k1 * query[g * size + d + 1];
    }
  }
  for (int g = 0; g < Group; ++g) store((even[g] + odd[g]) * scale, scores + g * scores_stride);
}

CLONES void all_scores(const float* query, std::int64_t group, std::int64_t size, const float* keys,
                       const std::int32_t* block, std::int64_t blocks, std::int64_t block_elements, float scale,
                       float* scores) {
  const std::int64_t padded = blocks * lanes;
  for (std::int64_t b = 0; b < blocks; ++b) {
    const float* from = keys + block[b] * block_elements;
    float* to = scores + b * lanes;
    std::int64_t g = 0;
    for (; g + 4 <= group; g += 4) block_scores<4>(query + g * size, size, from, scale, to + g * padded, padded);
    for (; g + 3 <= group; g += 3) block_scores<3>(query + g * size, size, from, scale, to + g * padded, padded);
    for (; g < group; ++g) block_scores<1>(query + g * size, size, from, scale, to + g * padded, padded);
  }
}

CLONES void softmax_row(float* scores, std::int64_t first, std::int64_t length, std::int64_t padded) {
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
  const float factor = 1.0f / sum_lanes(sum);
  for (std::int64_t i = 0; i < padded; ++i) scores[i] *= factor;
}

// out[d] = sum over tokens of weight * value, Vectors x 16 places at once.
template <int Vectors>
INLINE void sum_values(const float* weight, const float* values, const std::int32_t* block, std::int64_t block_elements,
                       std::int64_t size, std::int64_t length, float* out) {
  Floats sum[Vectors], v;
  for (auto& s : sum) s = Floats{};
  for (std::int64_t t = 0; t < length; ++t) {
    const float* from = values + block[t / lanes] * block_elements + t % lanes * size;
    for (int i = 0; i < Vectors; ++i) {
      load(from + i * lanes, v);
      sum[i] += v * weight[t];
    }
  }
  for (int i = 0; i < Vectors; ++i) store(sum[i], out + i * lanes);
}

CLONES void all_values(const float* weight, const float* values, const std::int32_t* block, std::int64_t block_elements,
                       std::int64_t size, std::int64_t length, float* out) {
  std::int64_t d = 0;
  for (; d + 4 * lanes <= size; d += 4 * lanes)
    sum_values<4>(weight, values + d, block, block_elements, size, length, out + d);
  for (; d + lanes <= size; d += lanes) sum_values<1>(weight, values + d, block, block_elements, size, length, out + d);
  for (; d < size; ++d) {
    float sum = 0;
    for (std::int64_t t = 0; t < length; ++t)
      sum += weight[t] * values[block[t / lanes] * block_elements + t % lanes * size + d];
    out[d] = sum;
  }
}

}  // namespace

void rms_norm(const float* x, std::int64_t x_stride, const float* weight, double eps, std::int64_t rows,
              std::int64_t groups, std::int64_t size, float* y, std::int64_t y_stride, float* rstd) {
#pragma omp parallel for schedule(static) if (rows * groups * size > 16384)
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t g = 0; g < groups; ++g) {
      const float* in = x + r * x_stride + g * size;
      const double mean = static_cast<double>(dot(in, in, size)) / static_cast<double>(size);
      const auto factor = static_cast<float>(1.0 / std::sqrt(mean + eps));
      scale_row(in, weight, factor, size, y + r * y_stride + g * size);
      if (rstd) rstd[r * groups + g] = factor;
    }
}

void rms_norm_backward(const float* dy, std::int64_t dy_stride, const float* x, std::int64_t x_stride,
                       const float* weight, const float* rstd, std::int64_t rows, std::int64_t groups,
                       std::int64_t size, float* dx, std::int64_t dx_stride, bool accumulate, float* dweight) {
  constexpr std::int64_t chunk = 64;
  const std::int64_t chunks = (rows + chunk - 1) / chunk;
  std::vector<float> partial(static_cast<std::size_t>(chunks * size));
#pragma omp parallel for schedule(static)
  for (std::int64_t c = 0; c < chunks; ++c)
    for (std::int64_t r = c * chunk; r < std::min(rows, (c + 1) * chunk); ++r)
      for (std::int64_t g = 0; g < groups; ++g) {
        const float* d = dy + r * dy_stride + g * size;
        const float* in = x + r * x_stride + g * size;
        const float factor = rstd[r * groups + g];
        const float mean = dot3(d, weight, in, size) * factor / static_cast<float>(size);
        norm_backward_row(d, in, weight, factor, mean, size, dx + r * dx_stride + g * size, accumulate,
                          partial.data() + c * size);
      }
  for (std::int64_t c = 0; c < chunks; ++c)
    for (std::int64_t i = 0; i < size; ++i) dweight[i] += partial[static_cast<std::size_t>(c * size + i)];
}

void rope(float* x, std::int64_t stride, std::int64_t rows, std::int64_t heads, std::int64_t size, const float* cos,
          const float* sin, float direction) {
#pragma omp parallel for schedule(static) if (rows * heads * size > 16384)
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t h = 0; h < heads; ++h)
      rope_head(x + r * stride + h * size, size / 2, cos + r * (size / 2), sin + r * (size / 2), direction);
}

void swiglu(const float* gate_up, std::int64_t rows, std::int64_t size, float* out) {
#pragma omp parallel for schedule(static) if (rows * size > 16384)
  for (std::int64_t r = 0; r < rows; ++r)
    swiglu_row(gate_up + r * 2 * size, gate_up + r * 2 * size + size, size, out + r * size);
}

void swiglu_backward(const float* dout, float* gate_up, std::int64_t rows, std::int64_t size) {
#pragma omp parallel for schedule(static) if (rows * size > 16384)
  for (std::int64_t r = 0; r < rows; ++r)
    swiglu_backward_row(dout + r * size, gate_up + r * 2 * size, gate_up + r * 2 * size + size, size);
}

CLONES float maximum(const float* z, std::int64_t size) {
  Floats top = Floats{} - INFINITY, v;
  std::int64_t i = 0;
  for (; i + lanes <= size; i += lanes) {
    load(z + i, v);
    top = v > top ? v : top;
  }
  float best = -INFINITY;
  for (std::int64_t l = 0; l < lanes; ++l) best = std::max(best, top[l]);
  for (; i < size; ++i) best = std::max(best, z[i]);
  return best;
}

void log_sum_exp(const float* z, std::int64_t size, double temperature, double* lse, double* entropy) {
  const float top = maximum(z, size), scale = static_cast<float>(1.0 / temperature);
  double sum = 0, weighted = 0;
  for (std::int64_t i = 0; i < size; i += block_size) {
    double s, w;
    exp_block(z + i, std::min(block_size, size - i), top, scale, &s, &w);
    sum += s;
    weighted += w;
  }
  *lse = static_cast<double>(top) / temperature + std::log(sum);
  *entropy = std::log(sum) - weighted / sum;
}

void softmax_backward(float* z, std::int64_t size, double temperature, double lse, double entropy, double a, double b) {
  softmax_backward_row(z, size, static_cast<float>(1.0 / temperature), static_cast<float>(lse),
                       static_cast<float>(entropy), static_cast<float>(a), static_cast<float>(b));
}

double exponentials(const float* z, std::int64_t size, float top, float scale, float* e, double* blocks) {
  double sum = 0;
  for (std::int64_t i = 0; i < size; i += block_size)
    sum += blocks[i / block_size] = exp_store_block(z + i, std::min(block_size, size - i), top, scale, e + i);
  return sum;
}

std::int64_t packed_size(std::int64_t outputs, std::int64_t inputs) {
  return (outputs + 2 * lanes - 1) / (2 * lanes) * 2 * lanes * inputs;  // an even number of panels
}

void pack(const float* weight, std::int64_t outputs, std::int64_t inputs, float* packed) {
  const std::int64_t panels = packed_size(outputs, inputs) / (lanes * inputs);
#pragma omp parallel for schedule(static)
  for (std::int64_t p = 0; p < panels; ++p)
    for (std::int64_t k = 0; k < inputs; ++k)
      for (std::int64_t l = 0; l < lanes; ++l) {
        const std::int64_t row = p * lanes + l;
        packed[(p * inputs + k) * lanes + l] = row < outputs ? weight[row * inputs + k] : 0.0f;
      }
}

void linear(const float* x, std::int64_t rows, const float* packed, const float* bias, std::int64_t outputs,
            std::int64_t inputs, bool add, float* y, std::int64_t y_stride) {
  constexpr std::int64_t width = 2 * lanes;
  const std::int64_t pairs = (outputs + width - 1) / width;
#pragma omp parallel for schedule(static)
  for (std::int64_t p = 0; p < pairs; ++p)
    linear_panels(x, rows, packed + p * width * inputs, bias ? bias + p * width : nullptr,
                  std::min(width, outputs - p * width), inputs, add, y + p * width, y_stride);
}

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
    all_scores(q.query + head * group * size, group, size, keys + part, block, blocks, block_elements, scale, scores);
    for (std::int64_t g = 0; g < group; ++g) {
      float* row = scores + g * blocks * lanes;
      softmax_row(row, q.first - skipped, length, blocks * lanes);
      all_values(row, values + part, block, block_elements, size, length, q.out + (head * group + g) * size);
    }
  }
}

}  // namespace grpo::transformer::simd
