// simd.hpp: the loops that LibTorch has no single operation for, on fp32 in host memory.
//
// Main idea. Each loop is written once on vectors of 16 floats and compiled for three instruction sets; the machine
// picks at load. Sums run in a fixed order that depends neither on the number of threads nor on the number of rows, so
// a row's result does not depend on its neighbours. Rows are shared out over OpenMP's team (LibTorch's own).
//
// Matrices are row-major; a stride counts elements. No function allocates unless it says so.
#ifndef GRPO_TRANSFORMER_KERNELS_SIMD_HPP
#define GRPO_TRANSFORMER_KERNELS_SIMD_HPP

#include <cstdint>

namespace grpo::transformer::simd {

// y = x / rms(x) * weight for each of rows x groups vectors of `size`; x and y step by their stride from row to row,
// and by `size` from group to group. rstd [rows, groups] may be null.
void rms_norm(const float* x, std::int64_t x_stride, const float* weight, double eps, std::int64_t rows,
              std::int64_t groups, std::int64_t size, float* y, std::int64_t y_stride, float* rstd);

// dx: added to if accumulate, else written (it may then be dy itself). dweight [size] is added to. Allocates size x
// (rows / 64) partial sums.
void rms_norm_backward(const float* dy, std::int64_t dy_stride, const float* x, std::int64_t x_stride,
                       const float* weight, const float* rstd, std::int64_t rows, std::int64_t groups,
                       std::int64_t size, float* dx, std::int64_t dx_stride, bool accumulate, float* dweight);

// Turns pairs (i, i + size / 2) of each head by the row's angle; direction -1 turns back. cos, sin: [rows, size / 2].
void rope(float* x, std::int64_t stride, std::int64_t rows, std::int64_t heads, std::int64_t size, const float* cos,
          const float* sin, float direction);

// out[i] = silu(gate) * up; gate_up is [rows, 2 size], gate first.
void swiglu(const float* gate_up, std::int64_t rows, std::int64_t size, float* out);

// gate_up becomes its own derivative, given d out.
void swiglu_backward(const float* dout, float* gate_up, std::int64_t rows, std::int64_t size);

// The greatest z, the sum of e = exp((z - top) / t), and that of e (z - top) / t; sums in blocks of 512 into double.
void sum_exponentials(const float* z, std::int64_t size, double temperature, float* top, double* sum, double* weighted);

// z becomes dL/dz, but for the terms of the targets themselves: -p (a + b (log p + entropy)) / t.
void softmax_backward(float* z, std::int64_t size, double temperature, double lse, double entropy, double a, double b);

// e[i] = exp((z[i] - top) * scale); blocks[j]: the sum of e[512 j ...). Returns the sum of all; weighted: that of
// e (z - top) scale.
double exponentials(const float* z, std::int64_t size, float top, float scale, float* e, double* blocks,
                    double* weighted);
float maximum(const float* z, std::int64_t size);

// out[i] = from[places[i]], rows of `size`.
void gather(const float* from, std::int64_t size, const std::int64_t* places, std::int64_t n, float* out);

// A weight [outputs, inputs] in groups of linear_width outputs: [groups][inputs][linear_width], the last group filled
// with zeros. Stored in bfloat16 it is half as many bytes to read; arithmetic is fp32
// all the same, so a weight whose values bfloat16 holds exactly gives the same bits either way.
constexpr std::int64_t linear_width = 48;
enum class PackedType { float32, bfloat16 };
struct PackedMatrix {
  const void* data;
  PackedType type;
};
std::int64_t packed_size(std::int64_t outputs, std::int64_t inputs);  // in elements
// To bfloat16: the nearest, ties to even.
void pack(const float* weight, std::int64_t outputs, std::int64_t inputs, PackedType type, void* packed);
bool fits_bfloat16(const float* x, std::int64_t n);  // without rounding

// y = x weight^T (+ bias) (+ residual). x: [rows, inputs]; y: [rows, outputs], and residual, which may be y itself.
// scratch: linear_scratch(rows, inputs) floats. A row's sums run over the inputs in order.
std::int64_t linear_scratch(std::int64_t rows, std::int64_t inputs);
void linear(const float* x, std::int64_t rows, const PackedMatrix& weight, const float* bias, std::int64_t outputs,
            std::int64_t inputs, const float* residual, float* y, float* scratch);

// A token on its way into the cache.
struct CacheRow {
  float* qkv;                // [(group + 2) * kv_heads, size]: queries, keys, values; the first two are turned in place
  std::int64_t block, lane;  // its place: block of 16 tokens, token in the block
};
// RoPE, then keys and values into their places. cos, sin: [n, size / 2].
void write_cache(const CacheRow* rows, std::int64_t n, const float* cos, const float* sin, std::int64_t kv_heads,
                 std::int64_t group, std::int64_t size, float* keys, float* values);

// Attention of one token over a cache in blocks of 16 tokens: keys [kv_heads][size][16], values [kv_heads][16][size].
struct CachedQuery {
  const float* query;          // [kv_heads * group, size]
  const std::int32_t* block;   // the sequence's blocks
  std::int64_t first, length;  // tokens [first, length) are seen
  float* out;                  // [kv_heads * group, size]
  float* lse;                  // [kv_heads * group] log of the sum of exp(score); null: not wanted
};
// Floats of scratch for sequences of up to `longest` tokens.
std::int64_t cached_attention_scratch(std::int64_t longest, std::int64_t group);
void cached_attention(const CachedQuery* queries, std::int64_t n, const float* keys, const float* values,
                      std::int64_t kv_heads, std::int64_t group, std::int64_t size, float scale, float* scratch,
                      std::int64_t longest);

}  // namespace grpo::transformer::simd

#endif
