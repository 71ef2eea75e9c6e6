#include "grpo/sdk/plugins/model.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <thread>

#include "fakes.hpp"

namespace grpo::plugins {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using Ids = std::vector<std::int32_t>;
using Floats = std::vector<float>;

Forest three_levels() {
  Forest f;
  const auto root = f.add(Forest::root, Ids{1, 2, 3});
  const auto child = f.add_scored(root, Ids{4, 5});
  f.add_scored(child, Ids{6, 7});
  f.add_scored(child, Ids{8});
  return f;
}

struct Pass {
  Floats logprob, entropy;
  Ticket ticket;
};

Pass forward(Model& m, const Forest& f, bool train = false) {
  Pass out{Floats(static_cast<std::size_t>(f.n_targets())), Floats(static_cast<std::size_t>(f.n_targets())), {}};
  out.ticket = m.forward(f, 0.7, out.logprob, out.entropy, train);
  return out;
}

TEST(Model, DescribesItself) {
  Registry registry = fakes();
  Model m(registry, "fake", nullptr);
  EXPECT_EQ(m.info().vocabulary, 64);
  EXPECT_TRUE(m.can(GRPO_MODEL_TRAIN | GRPO_MODEL_ENTROPY));
  EXPECT_NE(m.decode(), nullptr);
  ASSERT_EQ(m.parameters().size(), 1u);
  EXPECT_EQ(element_count(m.parameters()[0]->value->dl), 1024 * 64);
  EXPECT_EQ(byte_count(m.parameters()[0]->value->dl), 1024 * 64 * 4);
  EXPECT_EQ(m.options().at("seed"), 1);
}

// One that shares any depth, one that shares prompts, one that shares nothing: same values, same gradients.
TEST(Model, FlattenedForItEqualsShared) {
  Registry registry = fakes();
  const Forest f = three_levels();
  const Floats up{1, -2, 0.5f, 3, 1}, up_entropy{0.3f, 0, -1, 1, 2};
  Floats logprob, gradient;
  for (const int depth : {0, 2, 1}) {
    Model m(registry, "fake", {{"max_depth", depth}});
    Pass p = forward(m, f, true);
    m.zero_grad();
    m.backward(std::move(p.ticket), up, up_entropy);
    const auto* g = reinterpret_cast<const float*>(data_of(*m.parameters()[0]->gradient));
    const Floats all(g, g + 1024 * 64);
    if (depth == 0) {
      logprob = p.logprob;
      gradient = all;
      EXPECT_GT(std::count_if(all.begin(), all.end(), [](float x) { return std::fabs(x) > 1e-3f; }), 100);
    }
    EXPECT_EQ(p.logprob, logprob) << "max_depth " << depth;
    EXPECT_EQ(all, gradient) << "max_depth " << depth;
  }
}

TEST(Model, GradientsEqualCentralDifferences) {
  Registry registry = fakes();
  Model m(registry, "fake", {{"max_depth", 1}});
  const Forest f = three_levels();
  const Floats up{1, -2, 0.5f, 3, 1}, up_entropy{0.3f, 0, -1, 1, 2};
  Pass p = forward(m, f, true);
  m.zero_grad();
  m.backward(std::move(p.ticket), up, up_entropy);
  auto* w = reinterpret_cast<float*>(data_of(*m.parameters()[0]->value));
  const auto* g = reinterpret_cast<const float*>(data_of(*m.parameters()[0]->gradient));
  const auto loss = [&] {
    const Pass q = forward(m, f);
    double sum = 0;
    for (std::size_t k = 0; k < up.size(); ++k)
      sum += double{up[k]} * double{q.logprob[k]} + double{up_entropy[k]} * double{q.entropy[k]};
    return sum;
  };
  int tested = 0;
  for (int i = 0; i < 1024 * 64 && tested < 40; ++i) {
    if (std::fabs(g[i]) < 1e-3f) continue;
    const float keep = w[i];
    w[i] = keep + 0.02f;
    const double high = loss();
    w[i] = keep - 0.02f;
    const double low = loss();
    w[i] = keep;
    EXPECT_NEAR((high - low) / 0.04, double{g[i]}, 1e-3);
    ++tested;
  }
  EXPECT_EQ(tested, 40);
}

TEST(Model, TicketsGiveThemselvesBack) {
  Registry registry = fakes();
  Model m(registry, "fake", nullptr);
  const Forest f = three_levels();
  for (int i = 0; i < 5; ++i) forward(m, f, true);  // two at most may wait
  Pass one = forward(m, f, true), two = forward(m, f, true);
  EXPECT_THAT(error_of([&] { forward(m, f, true); }), HasSubstr("2 forwards wait for their backward"));
  EXPECT_THAT(error_of([&] { m.commit(1); }), HasSubstr("2 forwards still wait"));
  one.ticket = std::move(two.ticket);  // swaps: both end with their owners
  m.zero_grad();
  EXPECT_THAT(error_of([&] { m.backward(std::move(one.ticket), Floats{1}); }),
              HasSubstr("5 targets, 1 and 0 derivatives"));
  EXPECT_THAT(error_of([&] { m.backward(Ticket(), Floats{}); }), HasSubstr("not from a training forward"));
}

TEST(Model, RefusesWhatItCannotTake) {
  Registry registry = fakes();
  Model m(registry, "fake", {{"max_tokens", 10}});
  Floats out(1);
  Forest high, unknown, longest, wide;
  high.add_scored(Forest::root, Ids{1, 64});
  EXPECT_THAT(error_of([&] { m.forward(high, 1, out, {}, false); }),
              AllOf(HasSubstr("plugin 'fake' ("), HasSubstr("token number 1 is 64"), HasSubstr("has 64 ids")));
  unknown.add(Forest::root, Ids{1});
  unknown.add_target(0, -1);
  EXPECT_THAT(error_of([&] { m.forward(unknown, 1, out, {}, false); }), HasSubstr("target number 0 is -1"));
  longest.add_scored(Forest::root, Ids(300, 1));
  Floats many(299);
  EXPECT_THAT(error_of([&] { m.forward(longest, 1, many, {}, false); }),
              HasSubstr("a sequence of 300 tokens; the model has 256 positions"));
  wide.add_scored(Forest::root, Ids(11, 1));
  Floats ten(10);
  try {
    m.forward(wide, 1, ten, {}, false);
    FAIL() << "it was taken";
  } catch (const CallError& e) {
    EXPECT_TRUE(e.no_memory());
    EXPECT_THAT(e.what(), HasSubstr("11 tokens; it takes 10 at once"));
  }
  EXPECT_THAT(error_of([&] { m.forward(high, 1, ten, {}, false); }),
              HasSubstr("1 targets, room for 10 log-probabilities"));
  EXPECT_THAT(error_of([&] { m.forward(high, 0, out, {}, false); }), HasSubstr("temperature must be over 0"));
}

TEST(Model, DivergedWeightsAreSeen) {
  Registry registry = fakes();
  Model m(registry, "fake", nullptr);
  auto* w = reinterpret_cast<float*>(data_of(*m.parameters()[0]->value));
  std::fill(w, w + 1024 * 64, NAN);
  EXPECT_THAT(error_of([&] { forward(m, three_levels()); }), HasSubstr("the log-probability of target 0 of 5 is NaN"));
  EXPECT_THAT(error_of([&] { forward(m, three_levels(), true); }), HasSubstr("is NaN"));
  m.commit(2);  // the ticket of the failed pass is not left open
}

TEST(Model, WeightsOutAndIn) {
  Registry registry = fakes();
  Model one(registry, "fake", {{"seed", 5}}), two(registry, "fake", {{"seed", 6}});
  struct Source final : TensorSource {
    std::string name;
    const grpo_tensor* tensor = nullptr;
    bool broken = false;
    std::vector<std::string> names() const override { return {name}; }
    const grpo_tensor* get(const std::string& wanted) override {
      if (broken) throw Error("weights.bin: cut off");
      return wanted == name ? tensor : nullptr;
    }
  } source;
  one.export_weights([&](const std::string& name, const grpo_tensor& tensor) {
    source.name = name;
    source.tensor = &tensor;
  });
  const Forest f = three_levels();
  EXPECT_NE(forward(one, f).logprob, forward(two, f).logprob);
  two.import_weights(3, source);
  EXPECT_EQ(forward(one, f).logprob, forward(two, f).logprob);
  source.broken = true;
  EXPECT_EQ(error_of([&] { two.import_weights(4, source); }), "weights.bin: cut off");
  source.broken = false;
  source.name = "something.else";
  EXPECT_THAT(error_of([&] { two.import_weights(4, source); }),
              HasSubstr("import_weights: fake: table.weight is missing"));
  EXPECT_EQ(error_of([&] { one.export_weights([](const auto&, const auto&) { throw Error("disk full"); }); }),
            "disk full");
}

TEST(Model, BelongsToItsThread) {
  Registry registry = fakes();
  Model m(registry, "fake", nullptr);
  std::string text;
  std::thread([&] { text = error_of([&] { m.zero_grad(); }); }).join();
  EXPECT_THAT(text, HasSubstr("zero_grad was called on another thread than open"));
}

}  // namespace
}  // namespace grpo::plugins
