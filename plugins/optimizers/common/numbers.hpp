// numbers.hpp: loops over elements that every optimizer needs, written so that a compiler makes vectors of them.
#ifndef OPTIMIZER_NUMBERS_HPP
#define OPTIMIZER_NUMBERS_HPP

#include <cstdint>

// A second version of a loop for processors with AVX2, chosen when the library is loaded. The results have the same
// bits: every operation used is exactly rounded and none is fused. Not under sanitizers, whose code may not run that
// early.
#if defined(__x86_64__) && defined(__OPTIMIZE__) && defined(__has_attribute) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#if __has_attribute(target_clones)
#define OPTIMIZER_VECTORS __attribute__((target_clones("avx2", "default")))
#endif
#endif
#ifndef OPTIMIZER_VECTORS
#define OPTIMIZER_VECTORS
#endif

namespace optimizers {

enum class element : std::uint8_t { fp32, bf16, fp16 };

// What is 16 bits wide, as fp32. kind: bf16 or fp16.
void widen(element kind, const std::uint16_t* from, float* to, std::int64_t n);
// The nearest value of 16 bits, the even one of two.
void narrow(element kind, const float* from, std::uint16_t* to, std::int64_t n);
// Where `narrow(master)` is not `value`, somebody else has written the value: master becomes that.
void follow(element kind, const std::uint16_t* value, float* master, std::int64_t n);

// The sum of squares in double, in an order that depends on n alone.
double sum_of_squares(const float* x, std::int64_t n);
// Is |x * scale| <= limit everywhere? A NaN is not.
bool within(const float* x, std::int64_t n, float scale, float limit);

}  // namespace optimizers

#endif
