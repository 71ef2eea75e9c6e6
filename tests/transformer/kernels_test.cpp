// The loops of the transformer that need no LibTorch, against plain ones. Every array is exactly as long as its
// contract says and on the heap, so that the address sanitizer sees a step beyond.
#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <random>
#include <vector>

#include "kernels/simd.hpp"

namespace simd = grpo::transformer::simd;

namespace {

using Floats = std::vector<float>;

Floats random_floats(std::int64_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Floats out(static_cast<std::size_t>(n));
  for (float& x : out) x = normal(random);
  return out;
}

void expect_near(const Floats& got, const Floats& wanted, double tolerance, const std::string& what) {
  ASSERT_EQ(got.size(), wanted.size()) << what;
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i) worst = std::max(worst, double(std::fabs(got[i] - wanted[i])));
  EXPECT_LT(worst, tolerance) << what;
  for (const float x : got) ASSERT_TRUE(std::isfinite(x)) << what;
}

// Rows of n floats, `step` apart: NaN between them; and without what is between them.
Floats spread(const Floats& rows, std::int64_t n, std::int64_t step) {
  Floats out(rows.size() / static_cast<std::size_t>(n) * static_cast<std::size_t>(step), NAN);
  for (std::size_t i = 0; i < rows.size(); ++i)
    out[i / static_cast<std::size_t>(n) * static_cast<std::size_t>(step) + i % static_cast<std::size_t>(n)] = rows[i];
  return out;
}

Floats gathered(const Floats& rows, std::int64_t n, std::int64_t step) {
  Floats out;
  for (auto at = rows.begin(); at != rows.end(); at += step) out.insert(out.end(), at, at + n);
  return out;
}

Floats plain_norm(const Floats& x, const Floats& weight, double eps, std::int64_t rows) {
  const auto size = static_cast<std::int64_t>(weight.size());
  Floats out(x.size());
  for (std::int64_t r = 0; r < rows; ++r) {
    double square = 0;
    for (std::int64_t i = 0; i < size; ++i) square += double(x[r * size + i]) * x[r * size + i];
    const double factor = 1 / std::sqrt(square / double(size) + eps);
    for (std::int64_t i = 0; i < size; ++i) out[r * size + i] = float(x[r * size + i] * factor * weight[i]);
  }
  return out;
}

Floats plain_linear(const Floats& x, const Floats& weight, const Floats& bias, std::int64_t rows, std::int64_t outputs,
                    std::int64_t inputs) {
  Floats y(static_cast<std::size_t>(rows * outputs));
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t o = 0; o < outputs; ++o) {
      double sum = bias[o];
      for (std::int64_t k = 0; k < inputs; ++k) sum += double(x[r * inputs + k]) * weight[o * inputs + k];
      y[r * outputs + o] = float(sum);
    }
  return y;
}

struct Sizes {
  std::int64_t rows, outputs, inputs;
};
constexpr Sizes linear_sizes[] = {{1, 1, 1},   {1, 48, 16},  {2, 49, 17},  {7, 47, 33},
                                  {8, 96, 64}, {9, 100, 31}, {33, 130, 40}};

TEST(Kernels, Linear) {
  for (const auto& [rows, outputs, inputs] : linear_sizes) {
    const std::string what = std::to_string(rows) + " x " + std::to_string(outputs) + " x " + std::to_string(inputs);
    const Floats x = random_floats(rows * inputs, 1), weight = random_floats(outputs * inputs, 2),
                 bias = random_floats(outputs, 3), norm = random_floats(inputs, 4);
    Floats packed(static_cast<std::size_t>(simd::packed_size(outputs, inputs)));
    simd::pack(weight.data(), outputs, inputs, {packed.data(), simd::PackedType::float32});
    for (const bool normed : {false, true}) {
      const Floats wanted =
          plain_linear(normed ? plain_norm(x, norm, 1e-6, rows) : x, weight, bias, rows, outputs, inputs);
      const Floats apart = spread(x, inputs, inputs + 3);
      Floats y(static_cast<std::size_t>(rows * (outputs + 5)), NAN),
          scratch(static_cast<std::size_t>(simd::linear_scratch(rows, inputs)));
      const simd::LinearInput in{apart.data(), inputs + 3, normed ? norm.data() : nullptr, 1e-6};
      const simd::PackedMatrix matrix{packed.data(), simd::PackedType::float32};
#pragma omp parallel
      simd::linear(in, rows, matrix, bias.data(), outputs, inputs, {y.data(), outputs + 5}, scratch.data());
      expect_near(gathered(y, outputs, outputs + 5), wanted, 1e-3, what);
      EXPECT_TRUE(std::isnan(y.back())) << "nothing is written between the rows";
      Floats added = gathered(y, outputs, outputs + 5), twice(added.size());
      for (std::size_t i = 0; i < added.size(); ++i) twice[i] = 2 * added[i];
      simd::linear(in, rows, matrix, bias.data(), outputs, inputs, {added.data(), outputs, y.data(), outputs + 5},
                   scratch.data());
      expect_near(added, twice, 1e-4, what + ", residual");
    }
    std::vector<std::uint16_t> half(packed.size());
    simd::pack(weight.data(), outputs, inputs, {half.data(), simd::PackedType::bfloat16});
    Floats y(static_cast<std::size_t>(rows * outputs)),
        scratch(static_cast<std::size_t>(simd::linear_scratch(rows, inputs)));
    simd::linear({x.data(), inputs}, rows, {half.data(), simd::PackedType::bfloat16}, bias.data(), outputs, inputs,
                 {y.data(), outputs}, scratch.data());
    expect_near(y, plain_linear(x, weight, bias, rows, outputs, inputs), 0.2, what + ", bfloat16");
  }
}

TEST(Kernels, GatedLinear) {
  for (const auto& [rows, outputs, inputs] : linear_sizes) {
    const Floats x = random_floats(rows * inputs, 1), weight = random_floats(2 * outputs * inputs, 2),
                 bias = random_floats(2 * outputs, 3);
    Floats packed(static_cast<std::size_t>(2 * simd::packed_size(outputs, inputs)));
    simd::pack_gated(weight.data(), outputs, inputs, {packed.data(), simd::PackedType::float32});
    Floats both(static_cast<std::size_t>(rows * 2 * outputs)), y(static_cast<std::size_t>(rows * outputs)),
        wanted(y.size()), scratch(static_cast<std::size_t>(simd::linear_scratch(rows, inputs)));
#pragma omp parallel
    simd::gated_linear({x.data(), inputs}, rows, {packed.data(), simd::PackedType::float32}, bias.data(), outputs,
                       inputs, both.data(), 2 * outputs, y.data(), scratch.data());
    expect_near(both, plain_linear(x, weight, bias, rows, 2 * outputs, inputs), 1e-3, "gate and up");
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t o = 0; o < outputs; ++o) {
        const double gate = both[r * 2 * outputs + o], up = both[r * 2 * outputs + outputs + o];
        wanted[r * outputs + o] = float(gate / (1 + std::exp(-gate)) * up);
      }
    expect_near(y, wanted, 1e-3, "activated");
  }
}

// Sequences of several lengths in blocks that lie apart, with and without a window.
TEST(Kernels, CachedAttention) {
  constexpr std::int64_t width = 16;
  for (const std::int64_t group : {1, 3, 4, 9})
    for (const std::int64_t size : {2, 16, 18, 64, 80})
      for (const std::int64_t window : {0, 1, 20}) {
        constexpr std::int64_t kv_heads = 2, n = 3, n_blocks = 8;
        const std::int32_t blocks[n][3] = {{5, 0, 0}, {2, 7, 0}, {1, 6, 3}};
        const std::int64_t positions[n] = {0, 16, 47};
        const std::int64_t stride = (group + 2) * kv_heads * size, layer = kv_heads * size * width;
        const std::int64_t cache = n_blocks * 2 * layer, outs = kv_heads * group * size;  // one layer of two
        const Floats qkv = random_floats(n * stride, 1), cos(n * size / 2, 1.0f), sin(n * size / 2, 0.0f);
        Floats keys = random_floats(cache, 2), values = random_floats(cache, 3), turned = qkv, out(n * stride),
               lse(n * stride);
        simd::CachedToken token[n];
        for (std::int64_t i = 0; i < n; ++i) token[i] = {blocks[i], positions[i]};
        simd::CachedLayer a{};
        a.token = token, a.n = n, a.kv_heads = kv_heads, a.group = group, a.size = size, a.qkv = qkv.data();
        a.cos = cos.data(), a.sin = sin.data(), a.turned = turned.data(), a.keys = keys.data();
        a.values = values.data(), a.window = window, a.scale = 0.25f, a.out = out.data(), a.lse = lse.data();
        a.step = a.turned_step = stride, a.block_step = 2 * layer;
        Floats scratch(static_cast<std::size_t>(simd::cached_attention_scratch(48, group, size)));
#pragma omp parallel
        {
          simd::write_cache(a);
          simd::cached_attention(a, 48, scratch.data());
        }
        Floats wanted(n * outs);
        for (std::int64_t i = 0; i < n; ++i)
          for (std::int64_t h = 0; h < kv_heads * group; ++h) {
            const std::int64_t head = h / group, seen = positions[i] + 1;
            std::vector<double> weight(seen), sum(size);
            double total = 0;
            for (std::int64_t t = window ? std::max<std::int64_t>(0, seen - window) : 0; t < seen; ++t) {
              const std::int64_t at = blocks[i][t / width] * 2 * layer + head * size * width;
              double score = 0;
              for (std::int64_t d = 0; d < size; ++d)
                score += double(qkv[i * stride + h * size + d]) * keys[at + d * width + t % width];
              weight[t] = std::exp(score * 0.25);
              total += weight[t];
              for (std::int64_t d = 0; d < size; ++d) sum[d] += weight[t] * values[at + t % width * size + d];
            }
            for (std::int64_t d = 0; d < size; ++d)
              wanted[(i * kv_heads * group + h) * size + d] = float(sum[d] / total);
            EXPECT_NEAR(lse[i * stride + h], std::log(total), 1e-4);
          }
        expect_near(gathered(out, outs, stride), wanted, 1e-4,
                    std::to_string(group) + " queries, heads of " + std::to_string(size));
      }
}

// A prompt with two completions, seen as blocks, against every pair of tokens on a path.
struct Tree {
  std::int64_t prompt, first, second, window;
  std::int64_t tokens() const { return prompt + first + second; }
  std::int64_t position(std::int64_t t) const { return t < prompt + first ? t : t - first; }
  bool sees(std::int64_t q, std::int64_t k) const {
    const bool path = k < prompt || (q >= prompt && (q < prompt + first) == (k < prompt + first));
    const std::int64_t distance = position(q) - position(k);
    return path && distance >= 0 && (window == 0 || distance < window);
  }
  std::vector<simd::AttentionBlock> blocks() const {
    std::vector<simd::AttentionBlock> all;
    for (const auto& [begin, n] : {std::pair{std::int64_t{0}, prompt}, {prompt, first}, {prompt + first, second}}) {
      all.push_back({begin, n, begin, n, 0, window, false});
      if (begin > 0 && window > 0) all.push_back({begin, n, 0, prompt, prompt, window, false});
    }
    if (window == 0) all.push_back({prompt, first + second, 0, prompt, 0, 0, true});
    return all;
  }
};

// Rows that begin with the same blocks go over them together; each has the bits that it has alone.
TEST(Kernels, CachedAttentionOfAGroupIsThatOfEachAlone) {
  constexpr std::int64_t width = 16, kv_heads = 2, n = 40, own = 2, n_blocks = 5 + own * n;
  for (const std::int64_t group : {1, 3, 9, 70})
    for (const std::int64_t size : {16, 80}) {
      // 20 rows share four blocks, 17 of another prompt the first of them only, 3 are places of one sequence
      std::vector<std::vector<std::int32_t>> blocks;
      std::vector<simd::CachedToken> token;
      for (std::int32_t i = 0; i < n; ++i) {
        std::vector<std::int32_t> row{0};
        if (i < 20) row.insert(row.end(), {1, 2, 3});
        if (i >= 20) row.push_back(4);
        for (std::int32_t b = 0; b < own; ++b) row.push_back(static_cast<std::int32_t>(5 + own * std::min(i, 37) + b));
        blocks.push_back(row);
      }
      for (std::int64_t i = 0; i < n; ++i) {
        const auto whole = static_cast<std::int64_t>(blocks[i].size()) - own;
        token.push_back({blocks[i].data(), whole * width + (i >= 37 ? 14 + i - 37 : i % 17)});
      }
      const std::int64_t stride = (group + 2) * kv_heads * size, outs = kv_heads * group * size;
      const Floats qkv = random_floats(n * stride, 1);
      Floats keys = random_floats(n_blocks * kv_heads * size * width, 2),
             values = random_floats(n_blocks * kv_heads * size * width, 3), turned = qkv;
      const auto attend = [&](std::int64_t first, std::int64_t rows) {
        Floats out(rows * outs, NAN), scratch(simd::cached_attention_scratch(96, group, size), NAN);
        simd::CachedLayer a{};
        a.step = outs, a.turned_step = stride, a.block_step = kv_heads * size * width;
        a.token = token.data() + first, a.n = rows, a.kv_heads = kv_heads, a.group = group, a.size = size;
        a.turned = turned.data() + first * stride, a.keys = keys.data(), a.values = values.data();
        a.scale = 0.25f, a.out = out.data();
#pragma omp parallel
        simd::cached_attention(a, 96, scratch.data());
        return out;
      };
      const Floats together = attend(0, n);
      for (const std::int64_t i : {0, 7, 19, 20, 36, 37, 39})
        EXPECT_EQ(attend(i, 1), Floats(together.begin() + i * outs, together.begin() + (i + 1) * outs))
            << "row " << i << ", " << group << " queries, heads of " << size;
    }
}

TEST(Kernels, ForestAttentionAndItsDerivative) {
  const Tree trees[] = {{1, 1, 1, 0}, {20, 5, 70, 0}, {515, 3, 20, 0}, {33, 66, 1, 7}, {520, 15, 5, 500}};
  for (const auto& tree : trees)
    for (const std::int64_t group : {1, 3})
      for (const std::int64_t size : {16, 80}) {
        if (tree.prompt > 100 && group * size > 16) continue;  // more keys than a task takes: slow to check
        constexpr std::int64_t kv_heads = 2;
        const std::int64_t heads = kv_heads * group, n = tree.tokens(), stride = (heads + 2 * kv_heads) * size;
        const Floats qkv = random_floats(n * stride, 1), dout = random_floats(n * heads * size, 2);
        Floats out(n * heads * size, NAN), lse(n * heads, NAN), dqkv(n * stride, NAN);
        const auto blocks = tree.blocks();
        simd::ForestAttention a{};
        a.block = blocks.data(), a.blocks = static_cast<std::int64_t>(blocks.size()), a.tokens = n;
        a.kv_heads = kv_heads, a.group = group, a.size = size, a.scale = 0.2f;
        a.q = qkv.data(), a.k = a.q + heads * size, a.v = a.k + kv_heads * size, a.qk_stride = a.v_stride = stride;
        a.out = out.data(), a.lse = lse.data();
        Floats scratch(static_cast<std::size_t>(simd::forest_attention_scratch(a)), NAN);
        simd::forest_attention(a, scratch.data());
        simd::forest_attention_backward(
            a, {dout.data(), dqkv.data(), dqkv.data() + heads * size, dqkv.data() + (heads + kv_heads) * size, stride},
            scratch.data());

        Floats wanted(out.size()), wanted_lse(lse.size());
        std::vector<double> gradient(dqkv.size());
        for (std::int64_t h = 0; h < heads; ++h) {
          const std::int64_t at_q = h * size, at_k = (heads + h / group) * size, at_v = at_k + kv_heads * size;
          for (std::int64_t q = 0; q < n; ++q) {
            std::vector<double> p(n), dp(n);
            double total = 0, dot = 0;
            const float* of = qkv.data() + q * stride + at_q;
            const float* d_of = dout.data() + (q * heads + h) * size;
            for (std::int64_t k = 0; k < n; ++k) {
              if (!tree.sees(q, k)) continue;
              double score = 0;
              for (std::int64_t i = 0; i < size; ++i) score += double(of[i]) * qkv[k * stride + at_k + i];
              total += p[k] = std::exp(score * 0.2);
            }
            wanted_lse[q * heads + h] = float(std::log(total));
            std::vector<double> sum(size);
            for (std::int64_t k = 0; k < n; ++k) {
              if (p[k] == 0) continue;
              p[k] /= total;
              for (std::int64_t i = 0; i < size; ++i) {
                sum[i] += p[k] * qkv[k * stride + at_v + i];
                dp[k] += double(d_of[i]) * qkv[k * stride + at_v + i];
                gradient[k * stride + at_v + i] += p[k] * d_of[i];
              }
              dot += p[k] * dp[k];
            }
            for (std::int64_t i = 0; i < size; ++i) wanted[(q * heads + h) * size + i] = float(sum[i]);
            for (std::int64_t k = 0; k < n; ++k)
              for (std::int64_t i = 0; p[k] > 0 && i < size; ++i) {
                const double ds = p[k] * (dp[k] - dot) * 0.2;
                gradient[q * stride + at_q + i] += ds * qkv[k * stride + at_k + i];
                gradient[k * stride + at_k + i] += ds * of[i];
              }
          }
        }
        const auto what = std::to_string(tree.prompt) + " tokens, window " + std::to_string(tree.window) +
                          ", heads of " + std::to_string(size) + ", groups of " + std::to_string(group);
        expect_near(out, wanted, 1e-4, what);
        expect_near(lse, wanted_lse, 1e-4, what + ", lse");
        expect_near(dqkv, Floats(gradient.begin(), gradient.end()), 2e-3, what + ", gradients");
      }
}

TEST(Kernels, NormsAndTheirDerivative) {
  for (const std::int64_t size : {1, 15, 16, 33}) {
    constexpr std::int64_t rows = 70;
    const Floats x = random_floats(rows * size, 1), weight = random_floats(size, 2), dy = random_floats(rows * size, 3);
    Floats y(x.size()), rstd(rows), dx(x.size()), dweight(weight.size());
    simd::rms_norm(x.data(), size, weight.data(), 1e-6, rows, 1, size, y.data(), size, rstd.data());
    expect_near(y, plain_norm(x, weight, 1e-6, rows), 1e-4, "norm");
    simd::rms_norm_backward(dy.data(), size, x.data(), size, weight.data(), rstd.data(), rows, 1, size, dx.data(), size,
                            false, dweight.data());
    const auto loss = [&](const Floats& at) {
      const Floats out = plain_norm(at, weight, 1e-6, rows);
      double sum = 0;
      for (std::size_t i = 0; i < out.size(); ++i) sum += double(out[i]) * dy[i];
      return sum;
    };
    for (const std::size_t i : {std::size_t{0}, x.size() - 1}) {
      Floats up = x, down = x;
      up[i] += 1e-2f, down[i] -= 1e-2f;
      EXPECT_NEAR((loss(up) - loss(down)) / 2e-2, dx[i], 0.02 * std::max(1.0, std::fabs(double(dx[i])))) << size;
    }
  }
}

TEST(Kernels, SumsOverALongRow) {
  for (const std::int64_t size : {1, 16, 511, 513, 1030}) {
    const Floats z = random_floats(size, 1);
    float top = 0;
    double sum = 0, weighted = 0, wanted = 0, wanted_weighted = 0;
    simd::sum_exponentials(z.data(), size, 0.7, &top, &sum, &weighted);
    for (const float v : z) {
      wanted += std::exp((double(v) - top) / 0.7);
      wanted_weighted += std::exp((double(v) - top) / 0.7) * (double(v) - top) / 0.7;
    }
    EXPECT_NEAR(sum, wanted, 1e-5 * wanted);
    EXPECT_NEAR(weighted, wanted_weighted, 1e-5 * std::max(1.0, std::fabs(wanted_weighted)));
    EXPECT_EQ(simd::maximum(z.data(), size), top);
    Floats gradient = z, expected(z.size());
    const double lse = top / 0.7 + std::log(sum), entropy = std::log(sum) - weighted / sum;
    simd::softmax_backward(gradient.data(), size, 0.7, lse, entropy, 1.5, 0.5);
    for (std::size_t i = 0; i < z.size(); ++i) {
      const double log_p = z[i] / 0.7 - lse;
      expected[i] = float(-std::exp(log_p) * (1.5 + 0.5 * (log_p + entropy)) / 0.7);
    }
    expect_near(gradient, expected, 1e-5, "softmax");
    Floats both = random_floats(3 * 2 * size, 2), dout = random_floats(3 * size, 3), out(dout.size());
    simd::swiglu(both.data(), 3, size, out.data());
    simd::swiglu_backward(dout.data(), both.data(), 3, size);
    for (const float v : both) ASSERT_TRUE(std::isfinite(v));
  }
}

}  // namespace
