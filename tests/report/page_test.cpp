// report.html: what is in it, that nothing gets out of its data, and that it stays small and cheap.
#include "grpo/sdk/report/page.hpp"

#include <gtest/gtest.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "grpo/sdk/error.hpp"
#include "grpo/sdk/report/samples.hpp"
#include "run_reader.hpp"
#include "run_yaml.hpp"

namespace grpo::report {
namespace {
namespace fs = std::filesystem;
using nlohmann::json;

class Pages : public testing::Test {
 protected:
  fs::path directory = testing::TempDir() + "grpo-page";
  void SetUp() override {
    fs::remove_all(directory);
    fs::create_directories(directory);
  }
  void TearDown() override { fs::remove_all(directory); }

  void put(const char* name, std::string_view text, bool append = true) {
    std::ofstream(directory / name, append ? std::ios::app : std::ios::trunc) << text;
  }
  void put_step(std::int64_t step, double reward) {
    put("metrics.jsonl", json{{"step", step}, {"reward", reward}, {"step_time", 0.5}, {"kl", nullptr}}.dump() + "\n");
  }
  std::string page() const {
    std::ifstream in(directory / "report.html", std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  json data() const {
    const auto html = page();
    const std::string open = "id=\"data\">\n";
    const auto from = html.find(open) + open.size();
    return json::parse(html.substr(from, html.find("</script>", from) - from));
  }
  void write(double refresh = 0) { Page({directory}).write(directory / "report.html", refresh); }
};

std::size_t count(const std::string& text, std::string_view what) {
  std::size_t n = 0;
  for (auto at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++n;
  return n;
}

TEST_F(Pages, HasTheRunsNumbersSettingsSamplesAndWarnings) {
  put_step(1, 0.25);
  put_step(2, 0.75);
  put("run.json", R"({"status": "finished", "steps_total": 2, "host": "0.1.0"})");
  put("run.yaml",
      "run:\n  seed: 7   # run.yaml:3\nrewards:\n  - plugin: math  # command line\n    weight: 2  # default\n");
  put("run.log",
      "2026-11-20 18:33:09.961 info fine\n2026-11-20 18:33:10.001 warning reward math: bad\n  worse\n2026-11-20 "
      "18:33:11.000 error gone\n");
  SamplesFile(directory / "samples.jsonl", -1)
      .write(2, std::vector<SavedSample>{{.prompt = "1+1=",
                                          .completion = "2",
                                          .ground_truth = "2",
                                          .rewards = {{"math", 1.0}, {"late", std::nan("")}},
                                          .reward = 1,
                                          .finish = "stop"}});
  write(5);
  const json d = data();
  EXPECT_EQ(d["refresh"], 5);
  const json& run = d["runs"][0];
  EXPECT_EQ(run["last"], 2);
  EXPECT_EQ(run["series"]["reward"]["y"], json({0.25, 0.75}));
  EXPECT_EQ(run["series"]["reward"]["x"], json({1, 2}));
  EXPECT_EQ(run["series"]["reward"]["of"], json({2, 0.25, 0.75, 0.25, 0.75, 1, 2, 1, 2}));
  EXPECT_EQ(run["series"]["elapsed"]["y"], json({0.5, 1.0}));
  EXPECT_FALSE(run["series"].contains("kl")) << "a curve of nothing";
  EXPECT_EQ(run["facts"]["status"], "finished");
  EXPECT_EQ(run["config"], json({{"run.seed", "7", "run.yaml:3"},
                                 {"rewards.0.plugin", "math", "command line"},
                                 {"rewards.0.weight", "2", "default"}}));
  EXPECT_EQ(run["warnings"], json({{"2026-11-20 18:33:10", "warning", "reward math: bad\n  worse"},
                                   {"2026-11-20 18:33:11", "error", "gone"}}));
  EXPECT_EQ(run["samples"][0]["rows"][0]["completion"], "2");
  EXPECT_TRUE(run["samples"][0]["rows"][0]["rewards"]["late"].is_null());
  EXPECT_FALSE(fs::exists(directory / "report.html.tmp"));
}

TEST_F(Pages, HostileTextsStayTexts) {
  const std::string evil = "</script><script>alert(1)</script><!-- <img src=x onerror=alert(1)>\xe2\x80\xa8\xff\x01";
  put_step(1, 0.5);
  put("metrics.jsonl", json{{"step", 2}, {"</script>", 1.0}}.dump() + "\n");
  put("run.yaml", "data:\n  system_prompt: \"" + evil + "\"  # run.yaml:1\n");
  put("run.json", R"({"message": "</script><script>"})");
  put("run.log", "2026-11-20 18:33:10.001 warning " + evil + "\n");
  SamplesFile(directory / "samples.jsonl", -1)
      .write(1, std::vector<SavedSample>{{.prompt = evil, .completion = evil, .rewards = {{evil, 1}}, .finish = evil}});
  write();
  const auto html = page();
  EXPECT_EQ(count(html, "<script"), 2u) << "the data's and the page's own";
  EXPECT_EQ(count(html, "</script"), 2u);
  EXPECT_EQ(count(html, "<!--"), 0u);
  EXPECT_EQ(count(html, "<img"), 0u);
  EXPECT_EQ(html.find('\xff'), html.npos);
  EXPECT_EQ(html.find('\x01'), html.npos);
  const auto completion = data()["runs"][0]["samples"][0]["rows"][0]["completion"].get<std::string>();
  EXPECT_EQ(completion.substr(0, 30), evil.substr(0, 30)) << "and none is changed";
}

TEST_F(Pages, NeedsNoNetworkAndAllowsNoOtherScript) {
  put_step(1, 0.5);
  write();
  auto html = page();
  const std::string svg = "http://www.w3.org/2000/svg";
  for (auto at = html.find(svg); at != html.npos; at = html.find(svg)) html.erase(at, svg.size());
  for (const char* address : {"http:", "https:", "//cdn", "src=", "@import", "url(http"})
    EXPECT_EQ(count(html, address), 0u) << address;
  EXPECT_NE(html.find("default-src 'none'"), html.npos);
  EXPECT_EQ(count(html, "unsafe-inline"), 0u);
  EXPECT_EQ(count(html, "innerHTML"), 0u);
  EXPECT_EQ(count(html, "eval("), 0u);
  const auto nonce_at = html.find("script-src 'nonce-") + 18;
  const auto nonce = html.substr(nonce_at, 24);
  write();
  EXPECT_EQ(page().find(nonce), std::string::npos) << "no text can know it beforehand";
}

TEST_F(Pages, ARunOfAnyLengthStaysSmall) {
  constexpr int steps = 20000;
  std::string lines;
  for (int step = 1; step <= steps; ++step) {
    json row = {{"step", step}};
    for (int m = 0; m < 8; ++m) row["m" + std::to_string(m)] = std::sin(step * 0.001 * (m + 1)) + 1e-7 * step;
    row["spike"] = step == 12345 ? 1000.0 : 0.0;
    lines += row.dump() + "\n";
  }
  put("metrics.jsonl", lines);
  write();
  const json d = data();
  const json& run = d["runs"][0];
  EXPECT_EQ(run["stride"], 32);
  for (const auto& [name, series] : run["series"].items()) {
    EXPECT_LE(series["y"].size(), 800u) << name;
    EXPECT_GE(series["y"].size(), 400u) << name;
    EXPECT_EQ(series["of"][0], steps);
  }
  EXPECT_EQ(run["series"]["spike"]["of"][4], 1000) << "no peak is lost";
  EXPECT_EQ(run["series"]["spike"]["of"][8], 12345);
  double highest = 0;
  for (const auto& y : run["series"]["spike"]["hi"]) highest = std::max(highest, y.get<double>());
  EXPECT_EQ(highest, 1000);
  EXPECT_LT(page().size(), 600000u);
}

TEST_F(Pages, ReadsOnWhereItStoppedAndBeginsAnewWithAnotherFile) {
  put_step(1, 0.1);
  put("metrics.jsonl", R"({"step": 2, "rew)");  // still being written
  RunReader run(directory);
  run.update();
  EXPECT_EQ(run.curves().last_step(), 1);
  put("metrics.jsonl", "ard\": 0.2}\n");
  put_step(3, 0.3);
  run.update();
  EXPECT_EQ(run.curves().at("reward").n, 3);
  put("metrics.jsonl", "", /*append=*/false);
  put_step(1, 0.5);
  run.update();
  EXPECT_EQ(run.curves().at("reward").n, 1);
  EXPECT_EQ(run.curves().at("reward").last, 0.5);
}

TEST_F(Pages, SamplesAreThinnedAndLongOnesShortened) {
  SamplesFile file(directory / "samples.jsonl", -1);
  for (int step = 10; step <= 5000; step += 10) {
    const std::vector<SavedSample> samples = {{.prompt = "p", .completion = std::string(4001, 'a') + "\xc3\xa9"}};
    file.write(step, samples);
  }
  RunReader run(directory);
  run.update();
  ASSERT_LE(run.samples().size(), 40u);
  ASSERT_GE(run.samples().size(), 20u);
  EXPECT_EQ(run.samples().front().step, 10);
  EXPECT_EQ(run.samples().back().step, 5000);
  const auto text = run.samples().back().rows[0]["completion"].get<std::string>();
  EXPECT_LT(text.size(), 3100u);
  EXPECT_TRUE(text.ends_with("\xc3\xa9"));
  const auto gap = run.samples()[1].step - run.samples()[0].step;
  for (std::size_t i = 2; i + 1 < run.samples().size(); ++i)
    EXPECT_EQ(run.samples()[i].step - run.samples()[i - 1].step, gap);
}

TEST_F(Pages, TheLogBeginsWithThisRun) {
  const std::string earlier = "2026-11-20 18:33:10.001 warning of an earlier run\n";
  put("run.log", earlier);
  put("run.json", json{{"log_from", earlier.size()}}.dump());
  put("run.log", "2026-11-20 19:33:10.001 warning of this one\n");
  RunReader run(directory);
  run.update();
  ASSERT_EQ(run.warnings_seen(), 1);
  EXPECT_EQ(run.warnings().front().text, "of this one");
}

TEST_F(Pages, ARunThatWasKilledIsNotTakenForOneThatRuns) {
  utsname system{};
  ASSERT_EQ(uname(&system), 0);
  const auto status = [&](std::int64_t process, const std::string& name) {
    put("run.json", json{{"status", "running"}, {"process", process}, {"machine", {{"name", name}}}}.dump(), false);
    return RunReader(directory).facts()["status"].get<std::string>();
  };
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) _exit(0);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_EQ(status(child, system.nodename), "interrupted");
  EXPECT_EQ(status(getpid(), system.nodename), "running");
  EXPECT_EQ(status(child, "another-machine"), "running") << "nothing is known of it";
}

TEST_F(Pages, APageThatCannotBeWrittenSaysSo) {
  put_step(1, 0.5);
  EXPECT_THROW(Page({directory}).write(directory / "missing" / "report.html"), Error);
  testing::internal::CaptureStderr();
  fs::create_directories(directory / "report.html");  // in the page's place
  LivePage live(directory, 0);
  live.step();
  live.step();
  live.end();
  const auto said = testing::internal::GetCapturedStderr();
  EXPECT_EQ(count(said, "report.html"), 1u) << said;
}

TEST_F(Pages, AnEmptyRunHasAPageToo) {
  write();
  EXPECT_EQ(data()["runs"][0]["last"], 0);
}

TEST(RunYaml, TextsWithBlanksAndMarksKeepTheirParts) {
  const auto rows =
      yaml_rows("a:\n  x: \"one  # two\"   # cfg.yaml:3\n  y: [1, 2]\nb:\n  - p: q\n    r: s\n  - p: t\n");
  ASSERT_EQ(rows.size(), 5u);
  EXPECT_EQ(rows[0].value, "\"one  # two\"");
  EXPECT_EQ(rows[0].origin, "cfg.yaml:3");
  EXPECT_EQ(rows[1].origin, "");
  EXPECT_EQ(rows[4].key, "b.1.p");
}

TEST(Samples, ResumingDropsLaterOnes) {
  const fs::path path = testing::TempDir() + "grpo-samples.jsonl";
  fs::remove(path);
  const std::vector<SavedSample> one = {{.prompt = "p\xff", .completion = "c", .reward = std::nan("")}};
  {
    SamplesFile file(path, -1);
    for (const int step : {5, 10, 15}) file.write(step, one);
  }
  SamplesFile(path, 10).write(12, one);
  std::ifstream in(path);
  std::vector<json> rows;
  for (std::string line; std::getline(in, line);) rows.push_back(json::parse(line));
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[2]["step"], 12);
  EXPECT_TRUE(rows[2]["reward"].is_null());
  EXPECT_EQ(rows[2]["prompt"], "p\xef\xbf\xbd");
  fs::remove(path);
}

}  // namespace
}  // namespace grpo::report
