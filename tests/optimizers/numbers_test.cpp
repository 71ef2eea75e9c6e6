// Sixteen-bit numbers: every one of them, and the roundings between.
#include <gtest/gtest.h>
#include <grpo/numbers.hpp>

#include <bit>
#include <cmath>
#include <limits>

namespace {

using grpo::element;

float wide(element kind, std::uint16_t h) {
  float x;
  grpo::widen(kind, &h, &x, 1);
  return x;
}
std::uint16_t near(element kind, float x) {
  std::uint16_t h;
  grpo::narrow(kind, &x, &h, 1);
  return h;
}

// From the definition: sign, exponent, fraction.
double value(element kind, std::uint16_t h) {
  const int fraction_bits = kind == element::bf16 ? 7 : 10, bias = kind == element::bf16 ? 127 : 15;
  const int exponent = (h & 0x7fff) >> fraction_bits, fraction = h & ((1 << fraction_bits) - 1);
  const double magnitude = exponent ? std::ldexp(1 + std::ldexp(fraction, -fraction_bits), exponent - bias)
                                    : std::ldexp(fraction, 1 - bias - fraction_bits);
  return h & 0x8000 ? -magnitude : magnitude;
}

void check(element kind, std::uint16_t infinity) {
  for (std::uint32_t u = 0; u < 0x10000; ++u) {
    const auto h = static_cast<std::uint16_t>(u);
    if ((h & 0x7fff) > infinity) {
      EXPECT_TRUE(std::isnan(wide(kind, h))) << u;
      EXPECT_TRUE(std::isnan(wide(kind, near(kind, wide(kind, h))))) << u;
      continue;
    }
    EXPECT_EQ(near(kind, wide(kind, h)), h) << u;
    if ((h & 0x7fff) == infinity) {
      EXPECT_TRUE(std::isinf(wide(kind, h)));
      continue;
    }
    EXPECT_EQ(double{wide(kind, h)}, value(kind, h)) << u;
    if ((h & 0x7fff) == infinity - 1) continue;
    // The middle to the next one goes to the even one, a hair to either side to the nearer one.
    const auto next = static_cast<std::uint16_t>(h + 1);
    const auto middle = static_cast<float>((value(kind, h) + value(kind, next)) / 2);
    EXPECT_EQ(near(kind, middle), h & 1 ? next : h) << u;
    const float towards = std::numeric_limits<float>::infinity() * (h & 0x8000 ? -1.f : 1.f);
    EXPECT_EQ(near(kind, std::nextafter(middle, towards)), next) << u;
    EXPECT_EQ(near(kind, std::nextafter(middle, 0.f)), h) << u;
  }
}

TEST(Numbers, OfBf16AreExact) { check(element::bf16, 0x7f80); }
TEST(Numbers, OfFp16AreExact) { check(element::fp16, 0x7c00); }

TEST(Numbers, BeyondTheGreatestAreInfinite) {
  EXPECT_EQ(near(element::fp16, 65519.99f), 0x7bff);
  EXPECT_EQ(near(element::fp16, 65520.f), 0x7c00);
  EXPECT_EQ(near(element::fp16, -1e30f), 0xfc00);
  EXPECT_EQ(near(element::bf16, std::numeric_limits<float>::max()), 0x7f80);
}

TEST(Numbers, WithinALimit) {
  for (std::int64_t n = 1; n < 40; ++n)
    for (std::int64_t bad = 0; bad < n; ++bad)
      for (const float x : {NAN, INFINITY, -INFINITY, 3.f, -3.f}) {
        std::vector<float> all(static_cast<std::size_t>(n), 0.5f);
        EXPECT_TRUE(grpo::within(all.data(), n, 2, 1));
        all[static_cast<std::size_t>(bad)] = x;
        EXPECT_FALSE(grpo::within(all.data(), n, 2, 1)) << n << " " << bad << " " << x;
      }
}

}  // namespace
