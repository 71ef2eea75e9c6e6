// What is around flash attention: forests cut into packed sequences and merged, against plain attention block by block.
// On the CPU the kernels' place is taken by plain operations for each sequence; what a GPU makes of them it tries
// itself (flash::why_not).
#include "flash.hpp"

#include <gtest/gtest.h>

#include <random>

#include "arena.hpp"
#include "forest.hpp"
#include "ops.hpp"

namespace grpo::transformer {
namespace {

struct Case {
  std::vector<std::int64_t> parent, size;
  std::int64_t window;
};

Forest forest_of(const Case& c) {
  std::vector<std::int64_t> start{0};
  for (const auto n : c.size) start.push_back(start.back() + n);
  const std::vector<std::int32_t> token(static_cast<std::size_t>(start.back()), 1);
  std::vector<std::int64_t> target_at;
  for (std::int64_t t = 0; t < start.back(); ++t) target_at.push_back(t);
  std::vector<float> logprob(target_at.size());
  grpo_forest f{};
  f.struct_size = sizeof f;
  f.n_tokens = start.back();
  f.n_nodes = static_cast<std::int64_t>(c.size.size());
  f.token = token.data();
  f.node_start = start.data();
  f.parent = c.parent.data();
  grpo_forward a{};
  a.struct_size = sizeof a;
  a.forest = &f;
  a.temperature = 1;
  a.n_targets = start.back();
  a.target_at = target_at.data();
  a.target_token = token.data();
  a.logprob = logprob.data();
  return read_forest(a);
}

TEST(Flash, OfForestsEqualsPlainAttention) {
  const Case cases[] = {
      {{-1}, {13}, 0},
      {{-1, -1, -1}, {5, 1, 9}, 0},
      {{-1, 0, 0, 0, -1, 4, 4}, {11, 4, 7, 1, 6, 5, 3}, 0},
      {{-1, 0, 1, 1, 0, 4}, {6, 5, 4, 3, 2, 7}, 0},
      {{-1, 0, 0, -1, 3}, {11, 9, 3, 6, 12}, 4},
      {{-1, 0, 0, -1, 3}, {11, 9, 3, 6, 12}, 16},
  };
  at::manual_seed(1);
  for (const auto& c : cases) {
    const auto forest = forest_of(c);
    const std::int64_t n = forest.tokens, heads = 6, kv_heads = 2, size = 8;
    const auto qkv = at::randn({n, heads + 2 * kv_heads, size}), dout = at::randn({n, heads, size});
    const auto q = qkv.narrow(1, 0, heads), k = qkv.narrow(1, heads, kv_heads),
               v = qkv.narrow(1, heads + kv_heads, kv_heads);
    struct Run {
      at::Tensor out, lse, d;
    };
    const auto fresh = [&] { return Run{at::empty({n, heads, size}), at::empty({n, heads}), at::empty_like(qkv)}; };
    const auto parts = [&](const Run& r) {
      return std::tuple(r.d.narrow(1, 0, heads), r.d.narrow(1, heads, kv_heads),
                        r.d.narrow(1, heads + kv_heads, kv_heads));
    };
    const auto plain = fresh(), flash = fresh();
    const auto blocks = forest.blocks(c.window);
    {
      const auto [dq, dk, dv] = parts(plain);
      attention(blocks, q, k, v, false, plain.out, plain.lse);
      attention_backward(blocks, dout, q, k, v, plain.out, plain.lse, false, dq, dk, dv);
    }
    {
      const auto [dq, dk, dv] = parts(flash);
      attention_flash(blocks, q, k, v, flash.out, flash.lse);
      attention_flash_backward(blocks, dout, q, k, v, flash.out, flash.lse, dq, dk, dv);
    }
    EXPECT_TRUE(at::allclose(flash.out, plain.out, 1e-5, 1e-6));
    EXPECT_TRUE(at::allclose(flash.lse, plain.lse, 1e-5, 1e-6));
    EXPECT_TRUE(at::allclose(flash.d, plain.d, 1e-4, 1e-5));
    EXPECT_GT(flash.d.abs().sum().item<float>(), 1);
  }
}

// A chunk of a prompt stands at the end of its keys; keys in slack are not seen.
TEST(Flash, OfChunksEqualsTheirPartOfTheWhole) {
  at::manual_seed(2);
  const auto q = at::randn({12, 4, 8}), k = at::randn({12, 2, 8}), v = at::randn({12, 2, 8});
  const auto device = at::Device(at::kCPU);
  for (const std::int64_t window : {0, 5}) {
    const auto whole =
        flash::forward({flash::starts({12}, device), flash::starts({12}, device), 12, 12, {}, true, window}, q, k, v);
    const auto slack = at::full({4, 2, 8}, 1e30);
    const auto chunk = flash::forward(
        {flash::starts({3}, device), flash::starts({16}, device), 3, 16, at::tensor({12}, at::kInt), true, window},
        q.narrow(0, 9, 3), at::cat({k, slack}), at::cat({v, slack}));
    EXPECT_TRUE(at::allclose(chunk.out, whole.out.narrow(0, 9, 3), 1e-5, 1e-6));
    EXPECT_TRUE(at::allclose(chunk.lse, whole.lse.narrow(0, 9, 3), 1e-5, 1e-6));
  }
}

// Passes that grow step by step, as completions do, and small ones between them.
TEST(Arena, KeepsLittleMoreThanTheLargestPassUsed) {
  Arena arena(at::kCPU);
  std::int64_t most = 0, largest = 0;
  for (std::int64_t i = 0; i < 40; ++i) {
    const std::int64_t rows = i % 3 == 2 ? 30 : 300 + 15 * i;
    std::int64_t taken = 0;
    std::vector<at::Tensor> pieces;
    const auto take = [&](std::int64_t width) {
      pieces.push_back(arena.take({rows, width}, at::kFloat).fill_(static_cast<double>(pieces.size())));
      taken += pieces.back().nbytes();
    };
    for (int layer = 0; layer < 4; ++layer) {
      for (const std::int64_t width : {900, 10, 9000}) take(width);
      const auto mark = arena.mark();
      take(3000);
      pieces.pop_back();
      arena.rewind(mark);
    }
    for (std::size_t p = 0; p < pieces.size(); ++p)  // none lies on another
      ASSERT_TRUE((pieces[p] == static_cast<double>(p)).all().item<bool>()) << p;
    largest = std::max(largest, taken);
    pieces.clear();
    arena.rewind();
    most = std::max(most, arena.capacity());
  }
  EXPECT_LT(static_cast<double>(most), 1.4 * static_cast<double>(largest) + (40 << 20));
}

TEST(Flash, IsNotForTheCpu) { EXPECT_NE(flash::why_not(at::kCPU, at::kBFloat16, 4, 2, 64), ""); }

}  // namespace
}  // namespace grpo::transformer
