// Whether a decode pass can be recorded: the same operations in the same memory must make every step of a call. A GPU's
// graph is played here on the CPU: a dispatch key writes down each operation of a pass with its arguments, what the
// pass wrote is put back, and a start does the operations again. What the host decided while it was recorded stays
// decided, as in a graph; reading a value back is an error.
#include "replay.hpp"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/InferenceMode.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <grpo/random.h>
#include <gtest/gtest.h>
#include <torch/library.h>

#include <cstring>
#include <optional>
#include <stdexcept>

#include "engine.hpp"
#include "sampling.hpp"
#include "torch_cuda.hpp"
#include "weights.hpp"

namespace grpo::transformer {
namespace {

constexpr auto key = c10::DispatchKey::TESTING_ONLY_GenericMode;

struct Operation {
  c10::OperatorHandle op;
  std::vector<c10::IValue> in, out;
};

struct Tape {
  std::vector<Operation> operations;
  struct Saved {
    c10::Storage storage;
    std::vector<char> bytes;
  };
  std::vector<Saved> written;

  void save(const at::Tensor& t) {
    for (const auto& s : written)
      if (s.storage.is_alias_of(t.storage())) return;
    const auto* data = static_cast<const char*>(t.storage().data());
    written.push_back({t.storage(), {data, data + t.storage().nbytes()}});
  }
  void put_back() {
    for (const auto& s : written) std::memcpy(s.storage.mutable_data(), s.bytes.data(), s.bytes.size());
    written.clear();
  }
};
Tape* tape = nullptr;

void write_down(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const c10::impl::ExcludeDispatchKeyGuard below(key);
  if (op.schema().name() == "aten::_local_scalar_dense" || op.schema().name() == "aten::item")
    throw std::logic_error("the host reads a value back");
  const auto& arguments = op.schema().arguments();
  Operation done{op, {stack->end() - static_cast<std::ptrdiff_t>(arguments.size()), stack->end()}, {}};
  for (std::size_t i = 0; i < arguments.size(); ++i)
    if (arguments[i].alias_info() && arguments[i].alias_info()->isWrite() && done.in[i].isTensor())
      tape->save(done.in[i].toTensor());
  op.callBoxed(stack);
  done.out.assign(stack->end() - static_cast<std::ptrdiff_t>(op.schema().returns().size()), stack->end());
  tape->operations.push_back(std::move(done));
}

class Played final : public Recording {
 public:
  explicit Played(Tape tape) : tape_(std::move(tape)) {}
  void start() override {
    for (const auto& [op, in, out] : tape_.operations) {
      torch::jit::Stack stack(in);
      op.callBoxed(&stack);
      for (std::size_t i = 0; i < out.size(); ++i) {
        if (!out[i].isTensor()) continue;
        const auto &made = stack[i].toTensor(), &kept = out[i].toTensor();
        if (made.defined() && !made.storage().is_alias_of(kept.storage())) kept.copy_(made);
      }
    }
  }

 private:
  Tape tape_;
};

class Player final : public Recorder {
 public:
  int recorded = 0;
  void inside(const std::function<void()>& work) override { work(); }
  std::unique_ptr<Recording> record(const std::function<void()>& pass) override {
    Tape own;
    tape = &own;
    {
      const c10::impl::IncludeDispatchKeyGuard on(key);
      pass();
    }
    tape = nullptr;
    own.put_back();
    ++recorded;
    return std::make_unique<Played>(std::move(own));
  }
};

TORCH_LIBRARY_IMPL(_, TESTING_ONLY_GenericMode, m) {
  m.fallback(torch::CppFunction::makeFromBoxedFunction<&write_down>());
}

TEST(Repeat, RunsOnceThenRecordsThenStarts) {
  const c10::InferenceMode no_gradients;
  const auto at = at::zeros({1}, at::kLong), to = at::zeros({6, 3});
  int before = 0, host = 0;
  Player player;
  const auto kept = repeat(
      6, &player, [&] { return ++before > 0; },
      [&] {
        ++host;
        to.index_copy_(0, at, at::full({1, 3}, 2.0) * at + 1);
        at.add_(1);
      });
  EXPECT_TRUE(kept);
  EXPECT_EQ(player.recorded, 1);
  EXPECT_EQ(host, 2) << "once done, once recorded";
  EXPECT_EQ(before, 6);
  for (std::int64_t i = 0; i < 6; ++i) EXPECT_EQ(to[i][1].item<double>(), 2.0 * static_cast<double>(i) + 1);
}

TEST(Repeat, FewPassesAreNotRecorded) {
  Player player;
  int host = 0;
  EXPECT_FALSE(repeat(
      3, &player, [] { return true; }, [&] { ++host; }));
  EXPECT_EQ(player.recorded, 0);
  EXPECT_EQ(host, 3);
}

TEST(Repeat, WhatCannotBeRecordedIsRun) {
  struct Unable final : Recorder {
    int asked = 0;
    void inside(const std::function<void()>& work) override { work(); }
    std::unique_ptr<Recording> record(const std::function<void()>&) override {
      ++asked;
      return nullptr;
    }
  } unable;
  int host = 0;
  EXPECT_FALSE(repeat(
      9, &unable, [] { return true; }, [&] { ++host; }));
  EXPECT_EQ(unable.asked, 1);
  EXPECT_EQ(host, 9);
}

TEST(Repeat, AReadBackIsFound) {
  Player player;
  const auto x = at::ones({1});
  EXPECT_ANY_THROW((void)repeat(
      9, &player, [] { return true; }, [&] { x.mul_(x.item<double>()); }));
  tape = nullptr;
}

// Without a GPU it says so, having found all it asks CUDA's runtime for.
TEST(CudaGraphs, AreNotThereWithoutAGpu) {
  const auto no_gpu = torch_cuda::open();
  if (no_gpu.find("cannot be loaded") != std::string::npos) GTEST_SKIP() << no_gpu;
  std::string why;
  const auto recorder = make_cuda_recorder({c10::kCUDA, 0}, [&](const std::string& text) { why = text; });
  EXPECT_EQ(recorder != nullptr, no_gpu.empty()) << why;
  EXPECT_EQ(why.empty(), no_gpu.empty()) << why;
  EXPECT_EQ(why.find("CUDA's runtime has no"), std::string::npos) << why;
}

// Rows with all rules of sampling, one without a limit, one that ends at once, one whose first token is forced.
struct Rows {
  std::vector<Sampling> sampling;
  std::vector<std::vector<std::int32_t>> token, block;

  explicit Rows(std::int64_t vocabulary) {
    const auto add = [&](auto change) {
      Sampling s;
      s.temperature = 1;
      change(s);
      sampling.push_back(s);
    };
    add([](auto&) {});
    add([](auto& s) { s.temperature = 0; });
    add([](auto& s) { s.top_k = 7, s.top_p = 0.9, s.min_p = 0.01, s.penalty = 1.3; });
    add([](auto& s) { s.max_new = 2; });
    add([](auto& s) { s.temperature = 4, s.min_new = 5, s.stop = {3, 5, 8, 13, 21, 34, 55, 89}; });
    add([](auto& s) { s.temperature = 4, s.stop = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}; });
    std::int32_t blocks = 0;
    for (std::size_t r = 0; r < sampling.size(); ++r) {
      token.emplace_back();
      for (std::size_t t = 0; t < 5 + 6 * r; ++t)
        token.back().push_back(static_cast<std::int32_t>((17 * t + 5 * r) % static_cast<std::size_t>(vocabulary)));
      block.emplace_back();
      for (std::size_t b = 0; b < 6; ++b) block.back().push_back(blocks++);
    }
  }
};

struct Made {
  std::vector<std::int32_t> token, count, ended;
  std::vector<float> logprob, sampled;
  bool operator==(const Made&) const = default;
};

// Two calls, the second behind what the first left in the cache.
std::vector<Made> decode(const char* name, Recorder* recorder) {
  const c10::InferenceMode no_gradients;
  const auto directory = std::filesystem::path(GRPO_MODELS) / name;
  const auto config = read_config(directory);
  Weights weights(make_layout(config, {}), at::kCPU, at::kFloat, false);
  weights.load(directory);
  const std::uint64_t version = 0;
  EngineModel model{config, weights, version, nullptr, false, recorder};
  Rows rows(config.vocabulary);
  const auto n = static_cast<std::int64_t>(rows.token.size());
  const auto engine = make_portable_engine(model, n * 6);
  std::vector<EngineRow> prompt;
  for (std::size_t r = 0; r < rows.token.size(); ++r)
    for (std::size_t t = 0; t + 1 < rows.token[r].size(); ++t)
      prompt.push_back({rows.token[r][t], static_cast<std::int32_t>(t), rows.block[r].data()});
  engine->run(prompt.data(), static_cast<std::int64_t>(prompt.size()), -1);

  std::vector<Made> calls;
  const auto began = rows.token;
  for (const std::int64_t room : {9, 12}) {
    std::vector<AheadRow> ahead;
    for (std::size_t r = 0; r < rows.token.size(); ++r) {
      const auto length = static_cast<std::int64_t>(rows.token[r].size());
      const std::int64_t n_new = length - static_cast<std::int64_t>(began[r].size());
      const std::int64_t limit = rows.sampling[r].max_new > 0 ? rows.sampling[r].max_new - n_new : 40;
      ahead.push_back({rows.token[r].data(), length, n_new, std::max<std::int64_t>(limit, 1), rows.block[r].data(),
                       grpo_random_key(4, r), &rows.sampling[r], r == 0 && n_new == 0 ? 11 : -1});
    }
    const auto size = static_cast<std::size_t>(n * room);
    Made m{std::vector<std::int32_t>(size), std::vector<std::int32_t>(rows.token.size()),
           std::vector<std::int32_t>(rows.token.size()), std::vector<float>(size), std::vector<float>(size)};
    engine->run_ahead(ahead.data(), n, room, [] {},
                      {m.token.data(), m.count.data(), m.ended.data(), m.logprob.data(), m.sampled.data()});
    for (std::size_t r = 0; r < rows.token.size(); ++r)
      rows.token[r].insert(rows.token[r].end(), m.token.begin() + static_cast<std::ptrdiff_t>(r) * room,
                           m.token.begin() + static_cast<std::ptrdiff_t>(r) * room + m.count[r]);
    calls.push_back(std::move(m));
  }
  return calls;
}

TEST(Repeat, RecordedDecodingIsDecoding) {
  for (const auto* name : {"qwen3_bias", "qwen2_window", "llama_tied"}) {
    Player player;
    const auto plain = decode(name, nullptr), recorded = decode(name, &player);
    EXPECT_EQ(player.recorded, 2) << name;
    ASSERT_EQ(plain.size(), recorded.size());
    for (std::size_t call = 0; call < plain.size(); ++call) {
      EXPECT_EQ(plain[call].token, recorded[call].token) << name << ", call " << call;
      EXPECT_EQ(plain[call], recorded[call]) << name << ", call " << call;
    }
    EXPECT_EQ(plain[0].token[0], 11);
    EXPECT_EQ(plain[0].count[3], 2) << "ended by its limit";
    EXPECT_EQ(plain[0].count[0], 9) << "went on";
  }
}

}  // namespace
}  // namespace grpo::transformer
