// simd.hpp: the loops that LibTorch has no single operation for, on fp32 in host memory.
//
// Main idea. Each loop is written once on vectors of 16 floats and compiled for three instruction sets; the machine
// picks at load. Sums run in a fixed order that depends neither on the number of threads nor on the number of rows, so
// a row's result does not depend on its neighbours. Rows are shared out over OpenMP's team (LibTorch's own).
//
// Matrices are row-major; a stride counts elements. No function allocates unless it says so. [all threads]: every
// thread of an OpenMP region calls it, with the same arguments, and returns when all are done; outside of one it does
// all the work. The others open a region of their own.
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

// out[i] = from[places[i]], rows of `size`, in `from` a row every `step` floats.
void gather(const float* from, std::int64_t step, std::int64_t size, const std::int64_t* places, std::int64_t n,
            float* out);

// A weight [outputs, inputs] in groups of linear_width outputs: [groups][inputs][linear_width], the last group filled
// with zeros. Arithmetic is fp32 whatever the type, so a weight whose values bfloat16 holds exactly gives the same bits
// as in fp32.
constexpr std::int64_t linear_width = 48;
enum class PackedType { float32, bfloat16 };
struct PackedMatrix {
  const void* data;
  PackedType type;
};
struct PackedSpace {  // where a packed matrix goes
  void* data;
  PackedType type;
};
std::int64_t packed_size(std::int64_t outputs, std::int64_t inputs);  // in elements
// To bfloat16: the nearest, ties to even.
void pack(const float* weight, std::int64_t outputs, std::int64_t inputs, const PackedSpace& packed);
// [2 outputs, inputs], gate and up: a group of the one, then the same of the other. Of size 2 packed_size(outputs,
// inputs).
void pack_gated(const float* weight, std::int64_t outputs, std::int64_t inputs, const PackedSpace& packed);
bool fits_bfloat16(const float* x, std::int64_t n);  // without rounding

// Rows of a product's input, [rows, inputs].
struct LinearInput {
  const float* x;
  std::int64_t step;            // floats from row to row
  const float* norm = nullptr;  // [inputs] the rows are normed first, as by rms_norm; null: they are not
  double eps = 0;
};
// And of its output.
struct LinearOutput {
  float* y;
  std::int64_t step;
  const float* residual = nullptr;  // is added; may be y itself. null: nothing
  std::int64_t residual_step = 0;
};

// [all threads] y = x weight^T (+ bias) (+ residual), [rows, outputs]. scratch: linear_scratch(rows, inputs) floats. A
// row's sums run over the inputs in order.
std::int64_t linear_scratch(std::int64_t rows, std::int64_t inputs);
void linear(const LinearInput& in, std::int64_t rows, const PackedMatrix& weight, const float* bias,
            std::int64_t outputs, std::int64_t inputs, const LinearOutput& out, float* scratch);

// [all threads] gate_up = x weight^T (+ bias), [rows, 2 outputs], the weight by pack_gated, its rows gate_up_step
// floats apart; y = silu(gate) * up, [rows, outputs], rows side by side.
void gated_linear(const LinearInput& in, std::int64_t rows, const PackedMatrix& weight, const float* bias,
                  std::int64_t outputs, std::int64_t inputs, float* gate_up, std::int64_t gate_up_step, float* y,
                  float* scratch);

// What the cache holds of one layer, in blocks of 16 tokens: keys [kv_heads][size][16], values [kv_heads][16][size]. A
// block every block_step floats. The rows of qkv, out and lse are `step` floats apart.
struct CachedToken {
  const std::int32_t* block;  // of its sequence
  std::int64_t position;      // in its sequence; it sees those up to itself
};
struct CachedLayer {
  const CachedToken* token;  // [n]
  std::int64_t n, kv_heads, group, size;
  std::int64_t step;
  const float* qkv;              // [n][(group + 2) * kv_heads * size]: queries, keys, values
  const float *q_norm, *k_norm;  // [size] of rms_norm; null: none
  double norm_eps;
  const float *cos, *sin;    // [n, size / 2]
  float* turned;             // [n] as qkv: queries after norm and RoPE; may be qkv itself
  std::int64_t turned_step;  // of its rows
  float *keys, *values;      // the cache
  std::int64_t block_step;
  std::int64_t window;  // tokens that are seen at most; 0: all
  float scale;          // of scores
  float* out;           // [n][kv_heads * group * size]
  float* lse;           // [n][kv_heads * group] log of the sum of exp(score); null: not wanted
};
// [all threads] Norm, RoPE, then keys and values into their places.
void write_cache(const CachedLayer& layer);
// [all threads] Floats of scratch for sequences of up to `longest` tokens; then what each token sees.
std::int64_t cached_attention_scratch(std::int64_t longest, std::int64_t group, std::int64_t size);
void cached_attention(const CachedLayer& layer, std::int64_t longest, float* scratch);

// Queries [q, q + q_size) of a forest's tokens against keys [k, k + k_size). Query i sees key j if visible_from_all, or
// if 0 <= distance + i - j, and under `window` if that is above 0.
struct AttentionBlock {
  std::int64_t q, q_size, k, k_size, distance, window;
  bool visible_from_all;
};
// Heads lie side by side: [tokens][heads][size], a token every `..._stride` floats. size: a multiple of 16.
struct ForestAttention {
  const AttentionBlock* block;
  std::int64_t blocks, tokens, kv_heads, group, size;
  const float *q, *k, *v;
  std::int64_t qk_stride, v_stride;
  float scale;  // of scores
  float* out;   // [tokens][kv_heads * group][size]
  float* lse;   // [tokens][kv_heads * group] log of the sum of exp(score) over all blocks
};
struct ForestAttentionGradients {
  const float* dout;    // as out
  float *dq, *dk, *dv;  // written
  std::int64_t stride;  // of the three
};
// Blocks add up in an order that does not depend on the number of threads. forward writes out and lse, backward reads
// them.
std::int64_t forest_attention_scratch(const ForestAttention& a);  // floats, enough for both
void forest_attention(const ForestAttention& a, float* scratch);
void forest_attention_backward(const ForestAttention& a, const ForestAttentionGradients& g, float* scratch);

}  // namespace grpo::transformer::simd

#endif
