// bench.hpp: the sampler bound to a fake model, with a feed that keeps what is delivered and a decoder that is watched.
#ifndef SAMPLER_TEST_BENCH_HPP
#define SAMPLER_TEST_BENCH_HPP

#include <gmock/gmock.h>
#include <grpo/host.h>
#include <grpo/sampler.h>
#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "test/host.hpp"

namespace bench {

struct Completion {
  std::vector<int32_t> ids;
  std::vector<float> logprob, sampled;
  int32_t finish = 0, kind = 0;
  int64_t version = 0;
  bool operator==(const Completion&) const = default;
};

using Name = std::pair<uint64_t, int64_t>;  // request, index
using Completions = std::map<Name, Completion>;

struct Request {
  uint64_t id, key;
  std::vector<int32_t> prompt;
  int64_t samples;
  const grpo_sampling* sampling;
};

// Gives requests in order; `late` of them only after so many calls of next that found nothing.
class Feed {
 public:
  Feed() {
    f.host = this;
    f.next = [](const grpo_feed* p, const grpo_call*, int64_t wait_ns, const grpo_request** request) {
      return static_cast<Feed*>(p->host)->next(wait_ns, request);
    };
    f.deliver = [](const grpo_feed* p, const grpo_call* call, const grpo_completion* c) {
      return static_cast<Feed*>(p->host)->deliver(call, c);
    };
  }
  Feed(const Feed&) = delete;
  Feed& operator=(const Feed&) = delete;

  void add(const Request& r) {
    kept.push_back(r);
    auto& q = requests.emplace_back(test::make<grpo_request>());
    q.id = r.id;
    q.key = r.key;
    q.prompt = kept.back().prompt.data();
    q.n_prompt = static_cast<int64_t>(kept.back().prompt.size());
    q.n_samples = r.samples;
    q.sampling = r.sampling;
  }

  grpo_feed f = test::make<grpo_feed>();
  std::deque<Request> kept;
  std::deque<grpo_request> requests;
  std::size_t taken = 0;
  int pauses = 0;      // each request comes only after next has said AGAIN so often
  int waited = 0;      // for the one that comes next
  int idle_waits = 0;  // calls of next that were willing to wait
  Completions done;
  std::vector<Name> order;
  std::function<grpo_status(const grpo_call*, const Name&)> on_deliver;

 private:
  grpo_status next(int64_t wait_ns, const grpo_request** request) {
    idle_waits += wait_ns > 0;
    if (taken == requests.size()) return GRPO_STATUS_END;
    if (waited++ < pauses) return GRPO_STATUS_AGAIN;
    waited = 0;
    *request = &requests[taken++];
    return GRPO_STATUS_OK;
  }
  grpo_status deliver(const grpo_call* call, const grpo_completion* c) {
    const Name name{c->request, c->index};
    Completion d{{c->ids, c->ids + c->n},
                 {c->logprob, c->logprob + c->n},
                 {c->logprob_sampled, c->logprob_sampled + c->n},
                 c->finish,
                 c->logprob_kind,
                 c->version};
    if (!done.emplace(name, std::move(d)).second) return grpo_fail(call, GRPO_STATUS_INVALID, "delivered twice");
    order.push_back(name);
    return on_deliver ? on_deliver(call, name) : grpo_status{GRPO_STATUS_OK};
  }
};

// What the sampler asks of the decoder, checked against the contract while it passes through.
struct Watch {
  const grpo_decode* table = nullptr;
  int64_t sessions = 0, open_sessions = 0;
  std::vector<int64_t> asked_tokens;
  std::set<int64_t> used;  // slots that hold tokens
  std::size_t most_used = 0;
  int64_t steps = 0, prefills = 0, prompt_tokens = 0, longest_prefill = 0, most_rows = 0;
};
inline Watch watch;

inline const grpo_decode* watched_decode() {
  static const grpo_decode proxy = [] {
    auto t = test::make<grpo_decode>();
    t.describe = [](void* model) { return watch.table->describe(model); };
    t.session_open = [](void* model, const grpo_call* call, const grpo_decode_session* wanted, void** session) {
      watch.asked_tokens.push_back(wanted->tokens);
      const grpo_status status = watch.table->session_open(model, call, wanted, session);
      if (!status) ++watch.sessions, ++watch.open_sessions, watch.used.clear();
      return status;
    };
    t.session_close = [](void* session) {
      --watch.open_sessions;
      EXPECT_TRUE(watch.used.empty()) << "a session is closed with slots in use";
      watch.table->session_close(session);
    };
    t.free_tokens = [](void* session) { return watch.table->free_tokens(session); };
    t.prefill = [](void* session, const grpo_call* call, const grpo_decode_prefill* a) {
      ++watch.prefills;
      watch.prompt_tokens += a->start[a->n];
      watch.longest_prefill = std::max(watch.longest_prefill, a->start[a->n]);
      watch.used.insert(a->slot, a->slot + a->n);
      watch.most_used = std::max(watch.most_used, watch.used.size());
      return watch.table->prefill(session, call, a);
    };
    t.fork = [](void* session, const grpo_call* call, const grpo_decode_fork* a) {
      for (int64_t i = 0; i < a->n; ++i) {
        EXPECT_TRUE(watch.used.count(a->from[i]));
        EXPECT_TRUE(watch.used.insert(a->to[i]).second);
      }
      watch.most_used = std::max(watch.most_used, watch.used.size());
      return watch.table->fork(session, call, a);
    };
    t.assign = [](void* session, const grpo_call* call, const grpo_decode_assign* a) {
      return watch.table->assign(session, call, a);
    };
    t.step = [](void* session, const grpo_call* call, const grpo_decode_step* a) {
      ++watch.steps;
      watch.most_rows = std::max(watch.most_rows, a->n);
      return watch.table->step(session, call, a);
    };
    t.release = [](void* session, int64_t n, const int64_t* slot) {
      for (int64_t i = 0; i < n; ++i) EXPECT_EQ(watch.used.erase(slot[i]), 1u) << "released twice: " << slot[i];
      watch.table->release(session, n, slot);
    };
    return t;
  }();
  return &proxy;
}

struct Setup {
  std::initializer_list<std::pair<const std::string, double>> sampler = {}, model = {};
  const grpo_tokenizer* tokenizer = nullptr;
};

class Bench {
 public:
  explicit Bench(const Setup& setup = {}) {
    model_table = test::load<grpo_model>(GRPO_BINARY_DIR "/tests/fakes/fake_model.so", GRPO_MODEL_ID);
    table = test::load<grpo_sampler>(GRPO_PLUGIN_DIR "/sampler_local.so", GRPO_SAMPLER_ID);
    test::Call call;
    if (setup.tokenizer) call.services[GRPO_TOKENIZER_ID] = setup.tokenizer;
    need(call, model_table->open(call, test::Options(setup.model), &model));
    need(call, table->open(call, test::Options(setup.sampler), &handle));
    watch = {};
    watch.table = static_cast<const grpo_decode*>(model_table->query(model, GRPO_DECODE_ID));
    binding.model = model;
    binding.model_table = model_table;
    binding.decode_table = watched_decode();
    need(call, table->bind(handle, call, &binding));
  }
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;
  ~Bench() {
    EXPECT_TRUE(watch.used.empty()) << "slots are left in use";
    table->close(handle);
    EXPECT_EQ(watch.open_sessions, 0) << "a session is left open";
    model_table->close(model);
  }

  // The whole feed; fails the test if generate fails.
  void generate(Feed& feed) {
    test::Call call;
    const grpo_status status = table->generate(handle, call, &feed.f);
    ASSERT_EQ(status, GRPO_STATUS_OK) << call.error();
    EXPECT_TRUE(watch.used.empty());
    for (const auto& r : feed.requests)
      for (int64_t i = 0; i < r.n_samples; ++i) EXPECT_TRUE(feed.done.count({r.id, i})) << r.id << " " << i;
  }
  Completions generate(const std::vector<Request>& requests) {
    Feed feed;
    for (const auto& r : requests) feed.add(r);
    generate(feed);
    return feed.done;
  }
  // The text of the failure.
  std::string failure(const std::vector<Request>& requests, grpo_status expected) {
    Feed feed;
    for (const auto& r : requests) feed.add(r);
    test::Call call;
    EXPECT_EQ(table->generate(handle, call, &feed.f), expected) << call.error();
    EXPECT_TRUE(watch.used.empty());
    return call.error();
  }

  // Log-probabilities of `ids` after `prompt`, by the model's own forward.
  std::vector<float> logprobs(const std::vector<int32_t>& prompt, const std::vector<int32_t>& ids, double temperature) {
    test::Call call;
    std::vector<int32_t> all = prompt;
    all.insert(all.end(), ids.begin(), ids.end());
    const int64_t start[] = {0, static_cast<int64_t>(all.size())}, parent = -1;
    auto forest = test::make<grpo_forest>();
    forest.n_tokens = start[1];
    forest.n_nodes = 1;
    forest.token = all.data();
    forest.node_start = start;
    forest.parent = &parent;
    std::vector<int64_t> at;
    for (std::size_t i = 0; i < ids.size(); ++i) at.push_back(static_cast<int64_t>(prompt.size() + i) - 1);
    std::vector<float> out(ids.size());
    auto a = test::make<grpo_forward>();
    a.forest = &forest;
    a.temperature = temperature;
    a.n_targets = static_cast<int64_t>(ids.size());
    a.target_at = at.data();
    a.target_token = ids.data();
    a.logprob = out.data();
    need(call, model_table->forward(model, call, &a));
    return out;
  }

  const grpo_model* model_table = nullptr;
  const grpo_sampler* table = nullptr;
  void* model = nullptr;
  void* handle = nullptr;
  grpo_sampler_binding binding = test::make<grpo_sampler_binding>();

 private:
  static void need(const test::Call& call, grpo_status status) {
    if (status != GRPO_STATUS_OK) throw std::runtime_error(call.error());
  }
};

inline grpo_sampling sampling(int32_t max_new = 24) {
  auto s = test::make<grpo_sampling>();
  static constexpr int32_t stop[] = {0};
  s.temperature = 1;
  s.max_new = max_new;
  s.n_stop = 1;
  s.stop = stop;
  return s;
}

}  // namespace bench

#endif
