// Samplers with an engine of their own run isolated like here; those that bind to the host's model are refused.
#include "grpo/sdk/plugins/sampler.hpp"

#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <thread>

#include "support.hpp"

namespace grpo::plugins {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class IsolatedSampling : public testing::Test {
 protected:
  void SetUp() override {
    marker_ = std::filesystem::temp_directory_path() / ("grpo-engine-" + std::to_string(::getpid()));
    std::filesystem::remove(marker_);
  }
  void TearDown() override { std::filesystem::remove(marker_); }

  Sampler apart(const std::string& name, int crash_after = 0) {
    return Sampler(isolated(registry_, GRPO_SAMPLER_ID, name, quick()),
                   {{"crash_after", crash_after}, {"marker", marker_.string()}},
                   {.services = log_.services(), .where = {}, .label = {}, .progress = {}});
  }
  static std::vector<Request> requests(int n) {
    auto sampling = std::make_shared<Sampling>();
    sampling->max_new = 5;
    sampling->top_k = 3;
    sampling->stop = {2, 4};
    sampling->stop_text = {"z"};
    std::vector<Request> all;
    for (int i = 0; i < n; ++i)
      all.push_back({.id = static_cast<std::uint64_t>(i + 1),
                     .key = static_cast<std::uint64_t>(100 + i),
                     .prompt = {1, i, 5},
                     .n_samples = 1 + i % 4,
                     .sampling = sampling,
                     .train = true});
    return all;
  }
  using Completions = std::map<std::pair<std::uint64_t, std::int64_t>, Completion>;
  static Completions generate(Sampler& sampler, int n = 20) {
    Completions out;
    sampler.generate(requests(n), [&](Completion c) {
      EXPECT_TRUE(out.emplace(std::pair(c.request, c.index), std::move(c)).second) << "delivered twice";
    });
    return out;
  }
  static void expect_equal(const Completions& a, const Completions& b) {
    ASSERT_EQ(a.size(), b.size());
    for (const auto& [which, completion] : a) {
      ASSERT_TRUE(b.contains(which));
      EXPECT_EQ(completion.ids, b.at(which).ids);
      EXPECT_EQ(completion.logprob, b.at(which).logprob);
      EXPECT_EQ(completion.finish, b.at(which).finish);
      EXPECT_EQ(completion.version, b.at(which).version);
    }
  }
  // Weights as a model would put them.
  static void update(Sampler& sampler, std::int64_t version, bool transposed = false) {
    const auto* table = reinterpret_cast<const grpo_sampler*>(sampler.component().table);
    Call call;
    const grpo_tensor_sink* sink = nullptr;
    call.need(table->update_begin(sampler.raw(), call, version, &sink), sampler.component(), "update_begin");
    std::vector<float> values{1, 2, 3, 4, 5, 6};
    std::int64_t shape[2]{2, 3}, strides[2]{1, 2};
    grpo_tensor tensor{};
    tensor.struct_size = sizeof tensor;
    tensor.dl = {
        values.data(), GRPO_DEVICE_CPU, 0, 2, GRPO_TYPE_FLOAT, 32, 1, shape, transposed ? strides : nullptr, 0};
    const grpo_named_tensor first{sizeof first, 0, "a", &tensor}, second{sizeof second, 0, "longer", &tensor};
    const grpo_named_tensor* const both[]{&first, &second};
    call.need(sink->put(sink, call, 2, both), sampler.component(), "put");
    call.need(sink->put(sink, call, 1, both), sampler.component(), "put");
    call.need(table->update_end(sampler.raw(), call, 1), sampler.component(), "update_end");
  }

  Registry registry_ = isolation_registry();
  Log log_;
  std::filesystem::path marker_;
};

TEST_F(IsolatedSampling, CompletionsAreThoseOfThisProcess) {
  Sampler here(registry_, "fixed", nullptr), there = apart("fixed");
  EXPECT_FALSE(there.binds());
  EXPECT_EQ(there.info().sampling, here.info().sampling);
  EXPECT_EQ(there.info().max_positions, 64);
  for (int i = 0; i < 2; ++i) expect_equal(generate(here), generate(there));
}

TEST_F(IsolatedSampling, WeightsArrive) {
  Sampler here(registry_, "engine", nullptr), there = apart("engine");
  EXPECT_TRUE(there.has_own_weights());
  for (const bool transposed : {false, true}) {
    update(here, 3, transposed);
    update(there, 3, transposed);
    expect_equal(generate(here), generate(there));
  }
  EXPECT_EQ(generate(there).begin()->second.version, 3);
  EXPECT_THAT(error_of([&] { update(there, 13); }), HasSubstr("update_end: no thirteenth version (failed)"));
  EXPECT_EQ(generate(there).begin()->second.version, 3);
}

// An engine that holds no weights of the host goes on in a new process: nothing is lost, nothing comes twice.
TEST_F(IsolatedSampling, ACrashInTheMiddleOfGenerate) {
  Sampler here(registry_, "fixed", nullptr), there = apart("fixed", 11);
  expect_equal(generate(here), generate(there));
  EXPECT_TRUE(std::filesystem::exists(marker_)) << "it never crashed";
  EXPECT_THAT(log_.text(), HasSubstr("generate: its process was killed by SIGABRT"));
}

TEST_F(IsolatedSampling, ACrashLosesWeights) {
  Sampler there = apart("engine", 11);
  update(there, 1);
  EXPECT_THAT(error_of([&] { generate(there); }),
              AllOf(HasSubstr("plugin 'engine' ("), HasSubstr("killed by SIGABRT"), HasSubstr("weights")));
  EXPECT_THAT(error_of([&] { generate(there); }), HasSubstr("has no weights yet: update it first"));
  update(there, 2);
  EXPECT_EQ(generate(there).begin()->second.version, 2);
}

TEST_F(IsolatedSampling, CancelsReachIt) {
  Sampler there = apart("fixed");
  auto endless = requests(1);
  endless[0].prompt[0] = 7;
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    there.cancel(1);
  });
  std::vector<Completion> out;
  there.generate(endless, [&](Completion c) { out.push_back(std::move(c)); });
  later.join();
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0].finish, GRPO_FINISH_CANCELLED);
  EXPECT_EQ(out[0].ids.size(), 5u);
  endless[0].id = 2;
  std::thread all([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    there.cancel_all();
  });
  EXPECT_THROW(there.generate(endless, [](Completion) {}), CallError);
  all.join();
}

TEST_F(IsolatedSampling, WhatTheHostThrowsEndsIt) {
  Sampler there = apart("fixed");
  EXPECT_EQ(error_of([&] { there.generate(requests(3), [](Completion) { throw Error("enough"); }); }), "enough");
  EXPECT_EQ(generate(there).size(), 50u);
}

TEST_F(IsolatedSampling, OneThatBindsIsRefused) {
  registry_.add_file(GRPO_BINARY_DIR "/plugins/sampler_local.so");
  EXPECT_THAT(error_of([&] { Sampler(isolated(registry_, GRPO_SAMPLER_ID, "local", quick()), nullptr); }),
              AllOf(HasSubstr("plugin 'local' ("), HasSubstr("binds to the model of the host"),
                    HasSubstr("leave `isolate` out")));
}

}  // namespace
}  // namespace grpo::plugins
