#include "grpo/sdk/plugins/services.hpp"

#include <gmock/gmock.h>

#include <atomic>
#include <numeric>
#include <stdexcept>
#include <thread>

#include "grpo/sdk/plugins/call.hpp"

namespace grpo::plugins {
namespace {

template <class Table>
const Table* table(const std::shared_ptr<const ComponentServices>& services, const char* id) {
  return static_cast<const Table*>(services->find(id));
}

TEST(Services, OnlyWhatIsSetIsOffered) {
  const Services none({.metrics = false});
  for (const char* id : {GRPO_LOG_ID, GRPO_METRICS_ID, GRPO_TOKENIZER_ID, GRPO_TASKS_ID, GRPO_COMM_ID, "x"}) {
    EXPECT_EQ(none.of("a")->find(id), nullptr) << id;
  }
}

TEST(Services, LinesAndMetricsCarryTheName) {
  std::vector<std::string> lines;
  Services services({.log = [&](std::int32_t level, const std::string& who, const std::string& line) {
    lines.push_back(std::to_string(level) + " " + who + ": " + line);
  }});
  const auto a = services.of("a"), b = services.of("b");
  const auto* log = table<grpo_log>(a, GRPO_LOG_ID);
  log->write(log, GRPO_LOG_WARNING, "careful\n", 8);
  log->write(log, GRPO_LOG_DEBUG, "quiet", 5);
  EXPECT_EQ(lines, std::vector<std::string>{"3 a: careful"});
  const auto *ma = table<grpo_metrics>(a, GRPO_METRICS_ID), *mb = table<grpo_metrics>(b, GRPO_METRICS_ID);
  ma->add(ma, "hits", 1);
  ma->add(ma, "hits", 2);
  mb->add(mb, "hits", 5);
  const auto metrics = services.take_metrics();
  EXPECT_EQ(metrics.size(), 2u);
  EXPECT_EQ(metrics.at("plugin/a/hits").sum, 3);
  EXPECT_EQ(metrics.at("plugin/a/hits").count, 2);
  EXPECT_EQ(metrics.at("plugin/b/hits").sum, 5);
  EXPECT_TRUE(services.take_metrics().empty());
}

TEST(Services, ReachAPluginThroughItsCall) {
  const Services services;
  Call call(services.of("a"));
  EXPECT_NE(call.get()->service(call, GRPO_METRICS_ID), nullptr);
  EXPECT_EQ(call.get()->service(call, GRPO_LOG_ID), nullptr);
  Call bare;
  EXPECT_EQ(bare.get()->service(bare, GRPO_METRICS_ID), nullptr);
}

// One id a byte; the special text <s> is id 256.
struct Bytes final : TokenizerService {
  std::int64_t vocabulary() const override { return 257; }
  std::int32_t bos() const override { return 256; }
  std::int32_t eos() const override { return -1; }
  std::int32_t pad() const override { return -1; }
  std::vector<std::int32_t> encode(std::string_view text, bool special) const override {
    if (special && text == "<s>") return {256};
    std::vector<std::int32_t> out;
    for (const unsigned char c : text) out.push_back(c);
    return out;
  }
  std::string decode(const std::int32_t* ids, std::int64_t n, bool special) const override {
    std::string out;
    for (std::int64_t i = 0; i < n; ++i)
      out += ids[i] < 256 ? std::string(1, static_cast<char>(ids[i])) : special ? "<s>" : "";
    return out;
  }
};

TEST(Services, Tokenizer) {
  const Services services({.tokenizer = std::make_shared<Bytes>()});
  const auto view = services.of("a");
  const auto* t = table<grpo_tokenizer>(view, GRPO_TOKENIZER_ID);
  EXPECT_EQ(t->bos, 256);
  std::int32_t ids[4] = {-1, -1, -1, -1};
  EXPECT_EQ(t->encode(t, 0, "abc", 3, ids, 2), 3) << "counted, though there is room for two";
  EXPECT_EQ(ids[1], 'b');
  EXPECT_EQ(ids[2], -1) << "written beyond the room";
  EXPECT_EQ(t->encode(t, GRPO_TOKENIZER_SPECIAL, "<s>", 3, ids, 4), 1);
  EXPECT_EQ(t->encode(t, 0, "\xFF", 1, ids, 4), -1);
  char text[4] = "???";
  const std::int32_t some[] = {'h', 'i'}, high[] = {257};
  EXPECT_EQ(t->decode(t, 0, some, 2, text, 1), 2);
  EXPECT_STREQ(text, "h??");
  EXPECT_EQ(t->decode(t, 0, high, 1, text, 3), -1);
}

TEST(TaskPool, EveryIndexOnce) {
  TaskPool pool(3);
  for (const std::int64_t n : {0, 1, 7, 1000}) {
    for (const std::int64_t grain : {0, 1, 10, 5000}) {
      std::vector<std::atomic<int>> seen(static_cast<std::size_t>(n));
      EXPECT_TRUE(pool.parallel_for(n, grain, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) ++seen[static_cast<std::size_t>(i)];
      }));
      for (const auto& count : seen) ASSERT_EQ(count, 1);
    }
  }
}

TEST(TaskPool, SeveralCallersAndErrors) {
  TaskPool pool(2);
  std::atomic<std::int64_t> sum{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 3; ++c) {
    callers.emplace_back([&] {
      for (int round = 0; round < 50; ++round) {
        pool.parallel_for(100, 7, [&](std::int64_t begin, std::int64_t end) { sum += end - begin; });
      }
    });
  }
  for (auto& c : callers) c.join();
  EXPECT_EQ(sum, 3 * 50 * 100);
  EXPECT_THROW(pool.parallel_for(10, 1,
                                 [](std::int64_t begin, std::int64_t) {
                                   if (begin == 5) throw std::runtime_error("five");
                                 }),
               std::runtime_error);
  int inner = 0;
  pool.parallel_for(1, 1, [&](std::int64_t, std::int64_t) {
    pool.parallel_for(10, 1, [&](std::int64_t, std::int64_t) { ++inner; });
  });
  EXPECT_EQ(inner, 10);
}

TEST(TaskPool, StopsWhenTold) {
  const Services services({.tasks = std::make_shared<TaskPool>(2)});
  const auto view = services.of("a");
  const auto* tasks = table<grpo_tasks>(view, GRPO_TASKS_ID);
  EXPECT_EQ(tasks->threads, 2);
  Call call;
  std::atomic<int> ran{0};
  struct Context {
    Call& call;
    std::atomic<int>& ran;
  } context{call, ran};
  const auto body = [](void* c, std::int64_t, std::int64_t) {
    auto& self = *static_cast<Context*>(c);
    if (++self.ran == 3) self.call.cancel();
  };
  EXPECT_EQ(tasks->parallel_for(tasks, call, 1000, 1, body, &context), GRPO_STATUS_CANCELLED);
  EXPECT_GE(ran, 3);
  EXPECT_LT(ran, 1000);
}

}  // namespace
}  // namespace grpo::plugins
