// metrics.jsonl, and what the console prints when nobody looks at it through a terminal.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "grpo/sdk/report/console.hpp"
#include "grpo/sdk/report/metrics.hpp"

namespace grpo::report {
namespace {

class MetricsFiles : public testing::Test {
 protected:
  std::filesystem::path path = testing::TempDir() + "grpo-metrics.jsonl";
  void SetUp() override { std::filesystem::remove(path); }
  void TearDown() override { std::filesystem::remove(path); }
  std::string text() const {
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void put(std::string_view s) { std::ofstream(path, std::ios::app) << s; }
  std::vector<nlohmann::json> rows() const {
    std::vector<nlohmann::json> all;
    std::istringstream in(text());
    for (std::string line; std::getline(in, line);) all.push_back(nlohmann::json::parse(line));
    return all;
  }
  static Metrics one(double x) {
    Metrics m;
    m.set("x", x);
    return m;
  }
};

TEST_F(MetricsFiles, ResumingDropsLaterLinesAndATornOne) {
  {
    MetricsFile file(path, -1);
    for (int step = 0; step < 5; ++step) file.write(step, one(step));
  }
  put("{\"step\": 5, \"x\"");
  MetricsFile(path, 2).write(3, one(30));
  const auto all = rows();
  ASSERT_EQ(all.size(), 4u) << text();
  EXPECT_EQ(all[2]["step"], 2);
  EXPECT_EQ(all[3]["x"], 30);
}

TEST_F(MetricsFiles, ALineWhoseNewlineIsMissingDoesNotSwallowTheNext) {
  put("{\"step\": 1, \"x\": 1}\n{\"step\": 2, \"x\": 2}");
  MetricsFile(path, 2).write(3, one(3));
  EXPECT_EQ(rows().size(), 3u) << text();
}

TEST_F(MetricsFiles, ForeignLinesAreDroppedNotFatal) {
  put("[1]\n{\"step\": \"one\"}\n{}\n{\"step\": 1}\n");
  MetricsFile(path, 9).write(2, one(std::numeric_limits<double>::quiet_NaN()));
  const auto all = rows();
  ASSERT_EQ(all.size(), 2u) << text();
  EXPECT_TRUE(all[1]["x"].is_null());
}

TEST(Metrics, KeepTheOrderInWhichTheyCame) {
  Metrics m;
  m.set("b", 1);
  m.set("a", 2);
  m.set("b", 3);
  ASSERT_EQ(m.size(), 2u);
  EXPECT_EQ(m.begin()->first, "b");
  EXPECT_EQ(m.get("b"), 3);
  EXPECT_FALSE(m.find("c"));
}

TEST(Metrics, SummariesSkipWhatIsNotFinite) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<double> values = {1, nan, 4, 1};
  const auto s = summarize(values);
  EXPECT_EQ(s.n, 3);
  EXPECT_DOUBLE_EQ(s.mean, 2);
  EXPECT_DOUBLE_EQ(s.std, std::sqrt(3.0));
  EXPECT_EQ(summarize({}).n, 0);
}

std::string printed(const std::function<void(Console&)>& use, Progress progress = Progress::automatic) {
  testing::internal::CaptureStdout();
  Console console(progress);
  use(console);
  return testing::internal::GetCapturedStdout();
}

TEST(Console, HeaderAndLinesHaveOneWidthAlsoInLongRuns) {
  for (const std::int64_t steps : {10, 10000000}) {
    const auto out = printed([&](Console& c) {
      c.stage("training", steps);
      c.step(1, {});
      c.step(steps, {});
      c.sft_step(steps, {});
    });
    std::istringstream in(out);
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);)
      if (!line.empty() && line != "training") lines.push_back(line);
    ASSERT_EQ(lines.size(), 4u) << out;
    EXPECT_EQ(lines[0].size(), lines[1].size()) << out;
    EXPECT_EQ(lines[1].size(), lines[2].size()) << out;
    EXPECT_EQ(lines[0].find("step") + 4, lines[1].find("1/") + std::to_string(steps).size() + 2) << out;
  }
}

TEST(Console, AFileGetsNoEscapeCodes) {
  const auto use = [](Console& c) {
    c.settings("GRPO", std::vector<std::pair<std::string, std::string>>{{"a", "b"}});
    c.stage("training", 3);
    c.progress("rollout", 1, 2);
    c.step(1, {});
    const std::vector<Sample> samples = {{"q\x1b[31m", "one\ntwo", "42", 1, {{"math", 1}}, "stop"}};
    c.samples(1, samples);
    c.line("done");
  };
  const auto out = printed(use);
  EXPECT_EQ(out.find('\x1b'), std::string::npos);
  EXPECT_NE(out.find("q\\x1b[31m"), std::string::npos) << out;
  EXPECT_EQ(out.find("1/2"), std::string::npos);
  EXPECT_NE(printed(use, Progress::always).find("1/2"), std::string::npos);
}

TEST(Console, TheCurveSkipsWhatIsNotANumber) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<std::pair<double, double>> points = {{0, 0.1}, {1, nan}, {2, 0.9}, {3, 7}};
  const auto out = printed([&](Console& c) { c.curve("accuracy", points, 0, 1); });
  EXPECT_EQ(std::count(out.begin(), out.end(), '*'), 3) << out;
  EXPECT_EQ(printed([&](Console& c) { c.curve("nothing", {}, 0, 1); }), "");
}

TEST(Console, Durations) {
  EXPECT_EQ(duration(4.06), "4.1s");
  EXPECT_EQ(duration(59.6), "1m00s");
  EXPECT_EQ(duration(2282), "38m02s");
  EXPECT_EQ(duration(7500), "2h05m");
  EXPECT_EQ(duration(std::nan("")), "-");
}

}  // namespace
}  // namespace grpo::report
