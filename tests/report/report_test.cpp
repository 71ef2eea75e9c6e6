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
#include "grpo/sdk/report/visible.hpp"

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
  {
    Console console(progress);
    use(console);
  }
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

std::vector<std::string> table_of(std::size_t columns, const Metrics& metrics, std::int64_t steps = 20) {
  testing::internal::CaptureStdout();
  {
    Console console(Progress::never, columns);
    console.stage("training", steps);
    console.step(1, metrics);
    console.step(2, metrics);
  }
  std::istringstream in(testing::internal::GetCapturedStdout());
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  EXPECT_EQ(lines.size(), 5u);  // an empty one, the title, the header, two steps
  lines.resize(5);
  return {lines.begin() + 2, lines.end()};
}

TEST(Console, TheTableFitsTheTerminalAndKeepsWhatMattersMost) {
  Metrics m;
  m.set("reward", -123.456);
  m.set("step_time", 98765.4);
  m.set("throughput/end_to_end_tokens_per_second", 1234567);
  m.set("grad_norm", 1e9);
  const auto full = table_of(0, m);
  EXPECT_EQ(full[0],
            "     step   epoch  reward  +-std   length  clip%        kl  entropy  |grad|        lr  rollout   score  "
            "update    step  tok/s  elapsed     eta");
  for (const std::size_t width : {40, 60, 80, 100, 160}) {
    const auto lines = table_of(width, m, 100000);
    for (const auto& line : lines) EXPECT_LE(line.size(), width) << line;
    EXPECT_EQ(lines[0].size(), lines[1].size()) << lines[0] << "\n" << lines[1];
    for (const char* title : {"step", "reward"}) EXPECT_NE(lines[0].find(title), std::string::npos) << lines[0];
  }
  EXPECT_NE(table_of(80, m)[0].find("entropy"), std::string::npos);
  EXPECT_EQ(table_of(100, m)[0].find("kl"), std::string::npos) << "there is none";
  m.set("kl", 0.01);
  EXPECT_NE(table_of(100, m)[0].find("kl"), std::string::npos);
}

TEST(Console, TitleAndHeaderComeWithTheFirstLine) {
  const auto out = printed([](Console& c) {
    c.stage("training", 2);
    c.line("a checkpoint");
    c.step(1, {});
  });
  EXPECT_LT(out.find("a checkpoint"), out.find("training"));
  EXPECT_NE(out.find("training\n     step"), std::string::npos) << out;
}

TEST(Console, TheEpochLineGoesBelowItsRowAndNeverBetweenTitleAndHeader) {
  const auto out = printed([](Console& c) {
    c.stage("training", 2);
    for (const std::int64_t step : {1, 2}) {
      c.below_next_row("Epoch 1/1 step " + std::to_string(step));
      c.step(step, {});
    }
  });
  EXPECT_NE(out.find("training\n     step"), std::string::npos) << out;
  EXPECT_LT(out.find(" 1/2"), out.find("Epoch 1/1 step 1\n"));
  EXPECT_LT(out.find("Epoch 1/1 step 1\n"), out.find(" 2/2"));
  EXPECT_LT(out.find(" 2/2"), out.find("Epoch 1/1 step 2\n"));
}
TEST(Console, AStepThatTrainedOnNothingHasNoEntropy) {
  Metrics m;
  EXPECT_EQ(table_of(0, m)[1].find("0.125"), std::string::npos);
  const auto column = table_of(0, m)[0].find("entropy") + std::string("entropy").size() - 1;
  EXPECT_EQ(table_of(0, m)[1].at(column), '-');
  m.set("entropy", 0.125);
  EXPECT_NE(table_of(0, m)[1].find("0.125"), std::string::npos);
}
TEST(Console, TheBarLeavesTheLineToWhatFollows) {
  const auto out = printed([](Console& c) { c.progress("rollout", 1, 2); }, Progress::always);
  EXPECT_EQ(out.back(), '\r') << "the bar of a run that ended in an error stays: " << out;
  const auto narrow = [] {
    testing::internal::CaptureStdout();
    { Console(Progress::always, 30).progress("rollout", 1, 2); }
    return testing::internal::GetCapturedStdout();
  }();
  EXPECT_LT(narrow.find('\r'), 30u) << narrow;
}

TEST(Console, SettingsAreBrokenAtBlanks) {
  testing::internal::CaptureStdout();
  const std::vector<std::pair<std::string, std::string>> rows = {{"model", "one two three four five six seven"}};
  Console(Progress::never, 30).settings("GRPO", rows);
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "GRPO\n  model  one two three four\n         five six seven\n");
}

TEST(Log, LinesBeforeTheRunBeganReachItsFileAndEscapesDoNotReachTheTerminal) {
  const std::filesystem::path file = testing::TempDir() + "grpo-run.log";
  std::filesystem::remove(file);
  const auto text = [&] {
    std::ifstream in(file);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  testing::internal::CaptureStderr();
  log(Level::warning, "early \x1b[31m");
  note(Level::error, "for the file alone");
  EXPECT_FALSE(std::filesystem::exists(file));
  log_to_file(file);
  log(Level::debug, "later");
  EXPECT_NE(text().find("warning early"), std::string::npos) << text();
  EXPECT_NE(text().find("error for the file alone"), std::string::npos) << text();
  EXPECT_NE(text().find("debug later"), std::string::npos) << text();
  hold_log();
  log(Level::info, "of the next run");
  note(Level::error, "of the next run");
  EXPECT_EQ(text().find("next run"), std::string::npos) << text();
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "warning: early \\x1b[31m\ninfo: of the next run\n");
  std::filesystem::remove(file);
}

TEST(Visible, ControlCharactersAreSpelledOutAndLongTextsLoseTheirMiddle) {
  EXPECT_EQ(visible("a\x1b[2K\r\tb\nc\x7f", "  "), "a\\x1b[2K\\x0d\tb\n  c\\x7f");
  EXPECT_EQ(visible("\xc2\x9b"
                    "31m \xc3\xa9"),
            "\\x9b31m \xc3\xa9");
  EXPECT_EQ(visible(std::string(50, 'a') + std::string(50, 'b'), "", 10), "aaaaa [...] bbbbb");
  EXPECT_EQ(cells("\xc3\xa9t\xc3\xa9"), 3u);
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
