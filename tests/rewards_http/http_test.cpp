// A real service on this machine, well and in all the ways that one is not.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <grpo/sdk/plugins/validate.hpp>
#include <test/reward.hpp>
#include <thread>

namespace {

using grpo_test::json;
using grpo_test::OpenReward;
using grpo_test::Row;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point since) { return std::chrono::duration<double>(Clock::now() - since).count(); }
bool has(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

// server.py, for all tests; it ends with this process.
class Service {
 public:
  Service() {
    int to[2], from[2];
    if (::pipe(to) != 0 || ::pipe(from) != 0) return;
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(to[0], 0);
      ::dup2(from[1], 1);
      for (const int fd : {to[0], to[1], from[0], from[1]}) ::close(fd);
      ::execlp("python3", "python3", GRPO_TEST_DATA "/server.py", nullptr);
      ::_exit(127);
    }
    ::close(to[0]);
    ::close(from[1]);
    input_ = to[1];
    char c;
    while (::read(from[0], &c, 1) == 1 && c != '\n') port_ += c;
    ::close(from[0]);
  }
  ~Service() {
    ::close(input_);
    if (pid_ > 0) ::waitpid(pid_, nullptr, 0);
  }
  const std::string& port() const { return port_; }

 private:
  pid_t pid_ = -1;
  int input_ = -1;
  std::string port_;
};

class Http : public testing::Test {
 protected:
  void SetUp() override {
    static Service service;
    port_ = service.port();
    if (port_.empty()) GTEST_SKIP() << "no python3 on this machine";
    for (const char* proxy : {"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"}) ::unsetenv(proxy);
  }
  std::string url(const std::string& path) const { return "http://127.0.0.1:" + port_ + "/" + path; }
  json options(const std::string& path, json more = json::object()) const {
    more["url"] = url(path);
    if (!more.contains("retry_delay")) more["retry_delay"] = 0.02;
    return more;
  }
  grpo_test::plugins::RewardScores score(const json& options, const std::vector<Row>& rows, double timeout = 0) const {
    return OpenReward("http", options).score(rows, timeout);
  }
  std::string port_;
};

std::vector<Row> rows(const std::vector<std::string>& completions) {
  std::vector<Row> out;
  for (const auto& c : completions) {
    Row row;
    row.completions = {c};
    row.truth = "7";
    out.push_back(row);
  }
  return out;
}

TEST_F(Http, ScoresInEachForm) {
  const std::vector<double> lengths{1, 0, 3, 4};
  const auto samples = rows({"a", "", "abc", "d\"\n\\"});
  for (const char* path : {"score", "list"}) EXPECT_EQ(score(options(path), samples).score, lengths) << path;
  const auto openrlhf = score(options("score/openrlhf", {{"format", "openrlhf"}}), samples);
  EXPECT_EQ(openrlhf.score, lengths);
  EXPECT_EQ(openrlhf.components.at("label"), (std::vector<double>{7, 7, 7, 7}));
  EXPECT_EQ(score(options("score/slime", {{"format", "slime"}}), samples).score, lengths);
  EXPECT_EQ(score(options("score", {{"batch_size", 3}}), samples).score, lengths);
}

TEST_F(Http, WhatIsSent) {
  Row row = rows({"c1", "c2"})[0];
  row.completions = {"c1", "c2"};
  row.messages = R"([{"role":"user","content":"hi"}])";
  row.columns = {{"level", 3}, {"tags", {"a", 1}}, {"source", "x"}, {"weight", nullptr}};
  const auto asked = json::parse(score(options("whole"), {row}).message[0].substr(url("whole").size() + 2));
  EXPECT_EQ(asked, json::parse(R"({"prompts": ["p", "p"], "completions": ["c1", "c2"], "ground_truths": ["7", "7"],
    "step": 1, "messages": [[{"role": "user", "content": "hi"}], [{"role": "user", "content": "hi"}]],
    "columns": {"level": [3, 3], "tags": [["a", 1], ["a", 1]], "source": ["x", "x"], "weight": ["", ""]}})"));
  const auto bare = json::parse(
      score(options("whole", {{"columns", false}}), rows({"c"})).message[0].substr(url("whole").size() + 2));
  EXPECT_EQ(bare, json::parse(R"({"prompts": ["p"], "completions": ["c"], "ground_truths": ["7"], "step": 1})"));
}

TEST_F(Http, TokensFromTheEnvironment) {
  ::setenv("GRPO_TEST_TOKEN", "s3cret", 1);
  const json headers = {{"headers", {{"Authorization", "Bearer ${GRPO_TEST_TOKEN}"}}}};
  EXPECT_TRUE(has(score(options("headers", headers), rows({"a"})).message[0], "Bearer s3cret application/json"));
  ::unsetenv("GRPO_TEST_TOKEN");
  EXPECT_TRUE(
      has(grpo_test::refusal("http", options("headers", headers)),
          "the option headers.Authorization asks for the environment variable GRPO_TEST_TOKEN, which is not set"));
  ::setenv("GRPO_TEST_KEY", "hidden", 1);
  const auto got = score(options("refused?key=${GRPO_TEST_KEY}"), rows({"a"}));
  EXPECT_FALSE(has(got.message[0], "hidden")) << "no secret in a message: " << got.message[0];
}

TEST_F(Http, ErrorsAndNothingBySample) {
  const auto got = score(options("mixed"), rows({"a", "b", "c", "d"}));
  EXPECT_EQ(got.status,
            (std::vector<std::int32_t>{GRPO_SAMPLE_OK, GRPO_SAMPLE_NOT_APPLICABLE, GRPO_SAMPLE_ERROR, GRPO_SAMPLE_OK}));
  EXPECT_TRUE(has(got.message[2], "cannot judge"));
  EXPECT_EQ(got.components.at("form")[0], 0.25);
  EXPECT_EQ(got.components.at("form")[3], 1);
  EXPECT_EQ(score(options("parts"), rows({"a", "b"})).components.at("accuracy"), (std::vector<double>{1, 1}));
}

TEST_F(Http, TriesAgain) {
  EXPECT_EQ(score(options("flaky"), rows({"abc"})).score[0], 3);
  EXPECT_EQ(score(options("hangup"), rows({"abc"})).score[0], 3);
  const auto before = Clock::now();
  EXPECT_EQ(score(options("busy"), rows({"abc"})).score[0], 3);
  EXPECT_GE(seconds_since(before), 1) << "Retry-After";
}

TEST_F(Http, GivesUp) {
  const std::vector<std::pair<json, std::string>> cases = {
      {options("broken", {{"retries", 2}}), "HTTP 500: Traceback: no module  named x (the last of 3 attempts)"},
      {options("refused"), "HTTP 400: {\"error\": \"no such model\"}"},
      {options("moved"), "HTTP 302: http://127.0.0.1:1/ is not asked; give that address if it is the right one"},
      {options("html"), "the answer is no JSON: <html>welcome</html>"},
      {options("count"), "the answer has 1 scores for 2 completions"},
      {options("texts"), "the answer has \"good\" as a score, which is no number"},
      {options("nothing"), "the answer has neither `scores` nor `rewards`: {\"result\": \"ok\"}"},
      {options("huge", {{"max_response_mib", 1}}), "the answer is larger than 1 MiB"},
      {options("huge", {{"max_response_mib", 50}}), "the answer has 2000001 scores for 2 completions"},
      {json{{"url", "http://127.0.0.1:1/"}, {"retries", 1}, {"retry_delay", 0}}, "(the last of 2 attempts)"}};
  for (const auto& [how, message] : cases) {
    const auto got = score(how, rows({"a", "b"}));
    EXPECT_EQ(got.count(GRPO_SAMPLE_ERROR), 2) << how;
    for (const auto& text : got.message) {
      EXPECT_TRUE(has(text, message)) << text;
      EXPECT_TRUE(text.starts_with(how["url"].get<std::string>())) << text;
    }
  }
}

TEST_F(Http, NotInTime) {
  const auto attempts = score(options("slow", {{"timeout", 0.2}, {"retries", 1}}), rows({"a"}));
  EXPECT_EQ(attempts.status[0], GRPO_SAMPLE_TIMEOUT);
  EXPECT_TRUE(has(attempts.message[0], "the last of 2 attempts")) << attempts.message[0];

  auto before = Clock::now();
  const auto deadline = score(options("slow"), rows({"a"}), 0.3);
  EXPECT_EQ(deadline.status[0], GRPO_SAMPLE_TIMEOUT);
  EXPECT_LT(seconds_since(before), 15);
  const auto told = score(options("broken", {{"retries", 1000}}), rows({"a"}), 0.3);
  EXPECT_EQ(told.status[0], GRPO_SAMPLE_TIMEOUT);
  EXPECT_TRUE(has(told.message[0], "no answer in time; an attempt before: HTTP 500")) << told.message[0];

  before = Clock::now();
  OpenReward reward("http", options("slow"));
  std::atomic<bool> cancel{false};
  std::thread soon([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    cancel = true;
  });
  EXPECT_EQ(reward.score(rows({"a"}), 0, &cancel).status[0], GRPO_SAMPLE_TIMEOUT);
  soon.join();
  EXPECT_LT(seconds_since(before), 15);
}

TEST_F(Http, ManyAtOnceAndNotTooMany) {
  const auto before = Clock::now();
  const std::vector<std::string> texts(48, "four");
  const auto got = score(options("slowly/wide", {{"format", "slime"}, {"max_concurrency", 12}}), rows(texts));
  EXPECT_EQ(got.count(GRPO_SAMPLE_OK), 48);
  EXPECT_LT(seconds_since(before), 48 * 0.1) << "one after the other";

  OpenReward reward("http", options("slowly/narrow", {{"format", "slime"}, {"max_concurrency", 3}}));
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] { good += static_cast<int>(reward.score(rows({"a", "b", "c"})).count(GRPO_SAMPLE_OK)); });
  for (auto& t : threads) t.join();
  EXPECT_EQ(good, 12);
  const auto most = score(options("most"), rows({"wide", "narrow"})).score;
  EXPECT_GT(most[0], 3);
  EXPECT_LE(most[0], 12);
  EXPECT_LE(most[1], 3) << "of all calls together";
}

TEST_F(Http, PassesTheSuite) {
  grpo::plugins::ValidateSettings with;
  with.helper = HELPER;
  with.quick = true;
  with.options = options("score").dump();
  const auto v = grpo::plugins::validate(GRPO_PLUGIN_DIR "/reward_http.so", with);
  EXPECT_TRUE(v.passed()) << table_of(v);
  EXPECT_GT(v.count(grpo::plugins::Verdict::pass), 25) << table_of(v);
}

TEST_F(Http, Refused) {
  EXPECT_TRUE(has(grpo_test::refusal("http", {{"url", "ftp://x"}}),
                  "the option url must begin with http:// or https://: ftp://x"));
  EXPECT_TRUE(has(grpo_test::refusal("http", json::object()), "url"));
  EXPECT_TRUE(has(grpo_test::refusal("http", options("score", {{"headers", {{"a b", "c"}}}})), "cannot be a header"));
  EXPECT_TRUE(has(grpo_test::refusal("http", options("score", {{"headers", {{"a", 1}}}})), "is no text"));
}

}  // namespace
