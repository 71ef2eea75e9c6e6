// Norms, RoPE, SwiGLU, and the sums and derivatives over a row of logits.
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "lanes.hpp"
#include "simd.hpp"

namespace grpo::transformer::simd {
namespace {

CLONES float factor_of(const float* x, std::int64_t n, double eps) { return norm_factor(x, n, eps); }

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
  turn_head(x, half, cos, sin, direction);
}

CLONES void swiglu_row(const float* gate, const float* up, std::int64_t n, float* out) {
  swiglu_lanes(gate, up, n, out);
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

// Sum and weighted sum of exp((z - top) * scale) over up to 512 values, which go to out unless that is null.
CLONES void exp_block(const float* z, std::int64_t n, float top, float scale, float* out, double* sum,
                      double* weighted) {
  Floats s{}, w{}, v, e;
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    load(z + i, v);
    v = (v - top) * scale;
    exp_lanes(v, e);
    if (out) store(e, out + i);
    s += e;
    w += e * v;
  }
  float rest = 0, rest_weighted = 0;
  for (; i < n; ++i) {
    const float x = (z[i] - top) * scale, y = exp_one(x);
    if (out) out[i] = y;
    rest += y;
    if (y > 0) rest_weighted += y * x;
  }
  *sum = static_cast<double>(sum_lanes(s)) + rest;
  *weighted = static_cast<double>(sum_lanes(w)) + rest_weighted;
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

}  // namespace

void rms_norm(const float* x, std::int64_t x_stride, const float* weight, double eps, std::int64_t rows,
              std::int64_t groups, std::int64_t size, float* y, std::int64_t y_stride, float* rstd) {
#pragma omp parallel for schedule(static) if (rows * groups * size > 16384)
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t g = 0; g < groups; ++g) {
      const float* in = x + r * x_stride + g * size;
      const float factor = factor_of(in, size, eps);
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

void sum_exponentials(const float* z, std::int64_t size, double temperature, float* top, double* sum,
                      double* weighted) {
  *top = maximum(z, size);
  *sum = *weighted = 0;
  for (std::int64_t i = 0; i < size; i += block_size) {
    double s, w;
    exp_block(z + i, std::min(block_size, size - i), *top, static_cast<float>(1.0 / temperature), nullptr, &s, &w);
    *sum += s;
    *weighted += w;
  }
}

void softmax_backward(float* z, std::int64_t size, double temperature, double lse, double entropy, double a, double b) {
  softmax_backward_row(z, size, static_cast<float>(1.0 / temperature), static_cast<float>(lse),
                       static_cast<float>(entropy), static_cast<float>(a), static_cast<float>(b));
}

double exponentials(const float* z, std::int64_t size, float top, float scale, float* e, double* blocks,
                    double* weighted) {
  double sum = 0;
  *weighted = 0;
  for (std::int64_t i = 0; i < size; i += block_size) {
    double w;
    exp_block(z + i, std::min(block_size, size - i), top, scale, e + i, blocks + i / block_size, &w);
    sum += blocks[i / block_size];
    *weighted += w;
  }
  return sum;
}

void gather(const float* from, std::int64_t step, std::int64_t size, const std::int64_t* places, std::int64_t n,
            float* out) {
#pragma omp parallel for schedule(static)
  for (std::int64_t i = 0; i < n; ++i) std::copy_n(from + places[i] * step, size, out + i * size);
}

}  // namespace grpo::transformer::simd
