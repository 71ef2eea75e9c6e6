// Which functions a table has, by which members a class has; and what the C++ sides of the arguments hold.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <grpo/model.hpp>
#include <grpo/optimizer.hpp>
#include <grpo/sampler.hpp>

#include <cmath>
#include <string>
#include <vector>

#include "test/host.hpp"

namespace {

using testing::HasSubstr;

// ---- a sampler with an engine of its own

std::vector<std::string> heard;

struct engine {
  explicit engine(grpo::options) {
    own.struct_size = sizeof own;
    own.flags = GRPO_SAMPLER_UPDATES | GRPO_SAMPLER_BESIDE;
    own.logprob_kind = GRPO_LOGPROB_NONE;
  }
  const grpo_sampler_info& info() const noexcept { return own; }
  void generate(grpo::feed& feed, const grpo::call& call) {
    while (!feed.ended()) {
      call.stop_if_asked();
      const grpo_request* r = feed.next(0);
      if (!r) continue;
      grpo::completion c;
      c.request = r->id;
      c.ids = {r->prompt, r->n_prompt - 1};  // all but the last, so that one of a single token is empty
      c.logprob_kind = own.logprob_kind;
      c.version = version;
      feed.deliver(c);
    }
  }
  void cancel(std::uint64_t request) noexcept { heard.push_back("cancel " + std::to_string(request)); }
  const grpo_tensor_sink* update_begin(std::int64_t next, const grpo::call&) {
    coming = next;
    return &sink;
  }
  void update_end(bool accept, const grpo::call&) {
    if (!accept) throw grpo::failure("forgotten");
    version = coming;
  }
  void pause(std::int32_t mode, const grpo::call&) { heard.push_back("pause " + std::to_string(mode)); }
  void resume(const grpo::call&) { heard.push_back("resume"); }

  grpo_sampler_info own{};
  grpo_tensor_sink sink{};
  std::int64_t version = 0, coming = 0;
};

struct one_request {  // a feed with one request, after having none for a while
  explicit one_request(const std::vector<std::int32_t>& prompt) {
    request.id = 5;
    request.n_prompt = static_cast<std::int64_t>(prompt.size());
    request.prompt = prompt.data();
    feed.host = this;
    feed.next = [](const grpo_feed* f, const grpo_call*, std::int64_t, const grpo_request** out) -> grpo_status {
      auto& self = *static_cast<one_request*>(f->host);
      if (++self.asked == 1) return GRPO_STATUS_AGAIN;
      if (self.asked > 2) return GRPO_STATUS_END;
      *out = &self.request;
      return GRPO_STATUS_OK;
    };
    feed.deliver = [](const grpo_feed* f, const grpo_call*, const grpo_completion* c) -> grpo_status {
      auto& self = *static_cast<one_request*>(f->host);
      EXPECT_NE(c->ids, nullptr);
      EXPECT_EQ(c->logprob, nullptr);  // as its kind says
      self.ids.assign(c->ids, c->ids + c->n);
      self.version = c->version;
      return GRPO_STATUS_OK;
    };
  }
  grpo_feed feed = test::make<grpo_feed>();
  grpo_request request = test::make<grpo_request>();
  int asked = 0;
  std::vector<std::int32_t> ids{-1};
  std::int64_t version = -1;
};

TEST(Tables, ASamplerWithAnEngineOfItsOwn) {
  const grpo_sampler& t = grpo::sampler_table<engine>::table;
  EXPECT_EQ(t.bind, nullptr);
  EXPECT_EQ(t.model_changed, nullptr);
  test::Call call;
  void* handle = nullptr;
  ASSERT_EQ(t.open(call, test::Options(), &handle), GRPO_STATUS_OK);
  EXPECT_EQ(t.describe(handle)->flags, unsigned{GRPO_SAMPLER_UPDATES | GRPO_SAMPLER_BESIDE});
  const grpo_tensor_sink* sink = nullptr;
  EXPECT_EQ(t.update_begin(handle, call, 3, &sink), GRPO_STATUS_OK);
  EXPECT_NE(sink, nullptr);
  EXPECT_EQ(t.update_end(handle, call, 1), GRPO_STATUS_OK);
  for (const std::vector<std::int32_t>& prompt : {std::vector<std::int32_t>{4, 5, 6}, {4}}) {
    one_request one(prompt);
    EXPECT_EQ(t.generate(handle, call, &one.feed), GRPO_STATUS_OK) << call.error();
    EXPECT_EQ(one.ids, std::vector<std::int32_t>(prompt.begin(), prompt.end() - 1));
    EXPECT_EQ(one.version, 3);
    EXPECT_EQ(one.asked, 3);
  }
  t.cancel(handle, 9);
  EXPECT_EQ(t.pause(handle, call, GRPO_PAUSE_KEEP), GRPO_STATUS_OK);
  EXPECT_EQ(t.resume(handle, call), GRPO_STATUS_OK);
  EXPECT_EQ(heard, (std::vector<std::string>{"cancel 9", "pause 1", "resume"}));
  EXPECT_EQ(t.update_end(handle, call, 0), GRPO_STATUS_FAILED);
  EXPECT_EQ(call.error(), "forgotten");
  t.close(handle);
}

// ---- a model that only scores

struct constant {
  explicit constant(grpo::options) {
    own.struct_size = sizeof own;
    own.vocabulary = 10;
    own.max_positions = 8;
    parameters_.add("w", {2}, weight, nullptr);
  }
  const grpo_model_info& info() const noexcept { return own; }
  grpo::span<const grpo_parameter* const> parameters() const noexcept { return parameters_.list(); }
  std::uint64_t forward(const grpo::forward_pass& a, const grpo::call&) {
    const grpo::forest_view f = a.forest();
    EXPECT_EQ(f.nodes(), 2u);
    EXPECT_EQ(f.parent(1), 0);
    EXPECT_THAT(f.node(1), testing::ElementsAre(8, 9));
    EXPECT_TRUE(a.entropy().empty());
    for (float& x : a.logprob()) x = static_cast<float>(-a.temperature());
    return 0;
  }
  grpo_model_info own{};
  float weight[2] = {1, 2};
  grpo::parameter_list parameters_;
};

TEST(Tables, AModelThatOnlyScores) {
  const grpo_model& t = grpo::model_table<constant>::table;
  EXPECT_EQ(t.query, nullptr);
  EXPECT_EQ(t.backward, nullptr);
  EXPECT_EQ(t.export_weights, nullptr);
  EXPECT_EQ(t.import_weights, nullptr);
  test::Call call;
  void* handle = nullptr;
  ASSERT_EQ(t.open(call, test::Options(), &handle), GRPO_STATUS_OK);
  std::int64_t n = 0;
  const grpo_parameter* const* list = nullptr;
  ASSERT_EQ(t.parameters(handle, call, &n, &list), GRPO_STATUS_OK);
  ASSERT_EQ(n, 1);
  const grpo_parameter& p = *list[0];
  EXPECT_EQ(p.flags, unsigned{GRPO_PARAMETER_FROZEN});
  EXPECT_EQ(p.gradient, nullptr);

  const std::int32_t token[] = {7, 8, 9}, target[] = {8, 9};
  const std::int64_t start[] = {0, 1, 3}, parent[] = {-1, 0}, at[] = {0, 1};
  float logprob[2] = {0, 0};
  const auto forward = [&](auto change) {
    auto forest = test::make<grpo_forest>();
    forest.n_tokens = 3;
    forest.n_nodes = 2;
    forest.token = token;
    forest.node_start = start;
    forest.parent = parent;
    auto a = test::make<grpo_forward>();
    a.forest = &forest;
    a.temperature = 0.5;
    a.n_targets = 2;
    a.target_at = at;
    a.target_token = target;
    a.logprob = logprob;
    change(a, forest);
    test::Call one;
    const grpo_status status = t.forward(handle, one, &a);
    return std::to_string(status) + " " + one.error();
  };
  EXPECT_EQ(forward([](auto&, auto&) {}), "0 ");
  EXPECT_EQ(logprob[1], -0.5f);
  EXPECT_THAT(forward([](auto& a, auto&) { a.flags = 4; }), testing::AllOf(HasSubstr("3 "), HasSubstr("flags")));
  EXPECT_THAT(forward([](auto& a, auto&) { a.flags = GRPO_FORWARD_TRAIN; }), HasSubstr("ticket"));
  EXPECT_THAT(forward([&](auto&, auto& f) { f.position = token; }), HasSubstr("positions"));
  EXPECT_THAT(forward([](auto&, auto& f) { f.n_extras = 1; }), HasSubstr("extras"));
  EXPECT_THAT(forward([](auto& a, auto&) { a.forest = nullptr; }), HasSubstr("no forest"));
  t.close(handle);
}

// ---- an optimizer that wants whole parameters

struct whole {
  explicit whole(grpo::options) {}
  void bind(grpo::span<const grpo_slice* const> slices, const grpo::call&) { n = slices.size(); }
  double squared_norm(const grpo::call&) { return 0; }
  void step(const grpo_optimizer_step& s, const grpo::call&) { last = s.step; }
  grpo::span<const grpo_named_tensor* const> state() const { return {}; }
  void state_written(const grpo::call&) { throw grpo::failure("heard"); }
  std::size_t n = 0;
  std::int64_t last = 0;
};

TEST(Tables, AnOptimizerOfWholeParameters) {
  const grpo_optimizer& t = grpo::optimizer_table<whole>::table;
  EXPECT_EQ(t.flags, 0u);
  test::Call call;
  void* handle = nullptr;
  ASSERT_EQ(t.open(call, test::Options(), &handle), GRPO_STATUS_OK);
  const auto slice = test::make<grpo_slice>();
  const grpo_slice* list[] = {&slice, &slice};
  EXPECT_EQ(t.bind(handle, call, 2, list), GRPO_STATUS_OK);
  EXPECT_EQ(grpo::detail::own<whole>(handle).n, 2u);
  auto step = test::make<grpo_optimizer_step>();
  step.step = 4;
  EXPECT_EQ(t.step(handle, call, &step), GRPO_STATUS_OK);
  EXPECT_EQ(grpo::detail::own<whole>(handle).last, 4);
  EXPECT_EQ(t.state_written(handle, call), GRPO_STATUS_FAILED);
  EXPECT_EQ(call.error(), "heard");
  step.learning_rate = INFINITY;
  EXPECT_EQ(t.step(handle, call, &step), GRPO_STATUS_INVALID);
  EXPECT_EQ(grpo::detail::own<whole>(handle).last, 4);
  t.close(handle);
}

TEST(Tables, AnElementwiseOptimizerMayBeCutAnywhere) {
  struct rule {
    explicit rule(grpo::options) {}
    auto step(const grpo_optimizer_step&) const {
      return [](const grpo::stretch&) {};
    }
  };
  EXPECT_EQ(grpo::optimizer_table<grpo::elementwise<rule>>::table.flags, unsigned{GRPO_OPTIMIZER_ELEMENTWISE});
}

}  // namespace
