// A function that fails, hangs, crashes or prints costs its own sample, and nothing else.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <set>
#include <thread>

#include "support.hpp"

namespace rewards_python_test {
namespace {

bool has(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

using Faults = Python;

// Between two that are well; the neighbours keep their scores.
TEST_F(Faults, CostTheirOwnSample) {
  OpenReward reward("python", options_of("faults.py:one", {{"workers", 1}}));
  const std::vector<std::pair<std::string, std::string>> faults = {
      {"raise", "ValueError: cannot grade this (faults.py:"},
      {"exit", "it called exit(4) (faults.py:"},
      {"os_exit", "the interpreter ended with exit status 3 while it scored this sample"},
      {"segfault", "was killed by SIGSEGV"},
      {"abort", "was killed by SIGABRT"},
      {"nan", "returned NaN as a score; None says that it does not apply"},
      {"infinite", "returned an infinite number as `overall`"},
      {"text", "returned '1' as a score, which is no number"},
      {"list", "returned a score of type list"},
      {"dict", "returned a dict with x, and none of overall, score, reward"},
      {"input", "EOFError"},
      {"close", "while it scored this sample"},
      {"garbage", "descriptor 3"},
      {"fork", "ended with exit status 5"}};
  std::vector<std::string> texts{"well"};
  for (const auto& [name, message] : faults) texts.insert(texts.end(), {name, "well"});
  const auto got = reward.score(samples(texts));
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (i % 2 == 0) {
      EXPECT_EQ(got.status[i], GRPO_SAMPLE_OK) << texts[i - (i > 0)] << " before: " << got.message[i];
      continue;
    }
    EXPECT_EQ(got.status[i], GRPO_SAMPLE_ERROR) << texts[i];
    EXPECT_TRUE(has(got.message[i], faults[i / 2].second)) << texts[i] << ": " << got.message[i];
  }
  EXPECT_TRUE(has(reward.log(), "raise ValueError(\"cannot grade this\")")) << "the traceback is in the log";
  EXPECT_TRUE(has(reward.log(), "Fatal Python error: Segmentation fault"));
  EXPECT_FALSE(has(reward.log(), "grpo python driver>\", line") && has(reward.log(), "in outcome\n    raise"))
      << "without our own frames";
}

TEST_F(Faults, ATracebackIsLoggedOnce) {
  OpenReward reward("python", options_of("faults.py:one"));
  reward.score(samples(std::vector<std::string>(20, "raise")));
  const std::string log = reward.log(), line = "ValueError: cannot grade this";
  EXPECT_EQ(log.find(line), log.rfind(line)) << log;
}

TEST_F(Faults, NoneIsNotApplicable) {
  OpenReward reward("python", options_of("faults.py:one"));
  const auto got = reward.score(samples({"none", "dict_none"}));
  EXPECT_EQ(got.status, (std::vector<std::int32_t>{GRPO_SAMPLE_NOT_APPLICABLE, GRPO_SAMPLE_NOT_APPLICABLE}));
  EXPECT_EQ(got.components.at("format")[1], 1);
}

TEST_F(Faults, ABatchThatFails) {
  OpenReward batch("python", options_of("faults.py:batch"));
  for (const char* fault : {"raise", "os_exit"}) {
    const auto got = batch.score(samples({"well", fault, "well"}));
    EXPECT_EQ(got.count(GRPO_SAMPLE_ERROR), 3) << fault;
  }
  EXPECT_EQ(batch.score(samples({"well", "nan", "well"})).status,
            (std::vector<std::int32_t>{GRPO_SAMPLE_OK, GRPO_SAMPLE_ERROR, GRPO_SAMPLE_OK}));
  OpenReward few("python", options_of("faults.py:too_few"));
  EXPECT_EQ(few.score(samples({"a", "b", "c"})).message[0],
            "returned 2 results for 3 completions; it must be one for each");
  OpenReward no_list("python", options_of("faults.py:no_list"));
  EXPECT_TRUE(
      has(no_list.score(samples({"a"})).message[0], "returned dict; a function that gets a batch returns a list"));
  OpenReward partly("python", options_of("faults.py:partly"));
  EXPECT_EQ(partly.score(samples({"x", "nan", "none"})).status,
            (std::vector<std::int32_t>{GRPO_SAMPLE_OK, GRPO_SAMPLE_ERROR, GRPO_SAMPLE_NOT_APPLICABLE}));
}

TEST_F(Faults, WhatItPrintsGoesToTheLog) {
  OpenReward reward("python", options_of("faults.py:one"));
  const auto got = reward.score(samples({"print", "well", "flood", "well"}));
  EXPECT_EQ(got.count(GRPO_SAMPLE_OK), 4);
  const std::string log = reward.log();
  for (const char* line :
       {"a line of mine\n", "and one to stderr\n", "by its number\n", "more lines of its output were left out"})
    EXPECT_TRUE(has(log, line)) << line;
}

// Python delivers signals to the main thread alone.
TEST_F(Faults, AlarmsOfGraders) {
  OpenReward reward("python", options_of("faults.py:one", {{"workers", 1}}));
  EXPECT_EQ(reward.score(samples({"main_thread", "alarm", "well"})).score, (std::vector<double>{1, 0.5, 1}));
  EXPECT_EQ(reward.score(samples({"late_alarm"})).score[0], 1);
  EXPECT_EQ(reward.score(samples({"sleep", "sleep"})).count(GRPO_SAMPLE_OK), 2) << "what the last one left behind";
}

TEST_F(Faults, TooLong) {
  OpenReward reward("python", options_of("faults.py:one", {{"workers", 1}, {"call_timeout", 0.5}}));
  const auto got = reward.score(samples({"well", "backtrack", "well"}));
  EXPECT_EQ(got.status, (std::vector<std::int32_t>{GRPO_SAMPLE_OK, GRPO_SAMPLE_TIMEOUT, GRPO_SAMPLE_OK}));
  EXPECT_TRUE(has(got.message[1], "took longer than 0.5 s (the option `call_timeout`)")) << got.message[1];
}

TEST_F(Faults, TheDeadlineOfTheCall) {
  OpenReward reward("python", options_of("faults.py:one", {{"workers", 1}}));
  reward.score(samples({"well"}));
  const auto got = reward.score(samples({"well", "hang", "well"}), 1);
  EXPECT_EQ(got.status, (std::vector<std::int32_t>{GRPO_SAMPLE_OK, GRPO_SAMPLE_TIMEOUT, GRPO_SAMPLE_TIMEOUT}));
  EXPECT_TRUE(has(got.message[1], "was still at work when its time was over")) << got.message[1];
  EXPECT_EQ(reward.score(samples({"well"})).score[0], 1) << "in a new interpreter";
}

TEST_F(Faults, Cancelled) {
  OpenReward reward("python", options_of("faults.py:batch"));
  std::atomic<bool> cancel{false};
  std::thread soon([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    cancel = true;
  });
  const auto got = reward.score(samples({"hang"}), 0, &cancel);
  soon.join();
  EXPECT_EQ(got.status[0], GRPO_SAMPLE_TIMEOUT);
}

// Calls from several threads, each in an interpreter of its own; and one long call over several.
TEST_F(Faults, SeveralInterpretersAtOnce) {
  OpenReward reward("python", options_of("faults.py:one", {{"workers", 3}}));
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (int t = 0; t < 6; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 3; ++i)
        good += static_cast<int>(reward.score(samples({"well", "raise", "os_exit", "pid"})).count(GRPO_SAMPLE_OK));
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(good, 6 * 3 * 2);

  std::vector<std::string> texts;
  for (int i = 0; i < 24; ++i) texts.push_back(i % 2 ? "pid" : "sleep");
  const auto got = reward.score(samples(texts));
  std::set<double> pids;
  for (std::size_t i = 1; i < texts.size(); i += 2) pids.insert(got.score[i]);
  EXPECT_EQ(got.count(GRPO_SAMPLE_OK), 24);
  EXPECT_GT(pids.size(), 1u) << "free interpreters help";
}

// The number after `word` in a file, once it is there; 0: it does not come.
pid_t number_after(const std::string& file, const std::string& word) {
  for (int turn = 0; turn < 600; ++turn) {
    std::ifstream in(file);
    const std::string text((std::istreambuf_iterator<char>(in)), {});
    if (const auto at = text.find(word); at != text.npos && text.find('\n', at) != text.npos)
      return static_cast<pid_t>(std::stol(text.substr(at + word.size())));
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return 0;
}

bool lives(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  return std::getline(in, line) && line.find(") Z") == line.npos;
}

// A host that is killed leaves nothing behind, whatever the function is doing: here its interpreter is in a regular
// expression that holds the lock, and has started a program of its own.
TEST_F(Faults, NothingIsLeftOfAHostThatWasKilled) {
  // Of this process: what an earlier run left would be read before the shell has emptied it.
  const std::string at = testing::TempDir() + "python_reward_killed_" + std::to_string(::getpid());
  std::ofstream(at + ".in") << R"({"prompt":"p","completion":"child_hang"})"
                            << "\n";
  const std::string command = "'" GRPO_BINARY_DIR "/bin/grpo-host' score --plugins '" GRPO_PLUGIN_DIR
                              "' --reward python --options '" +
                              options_of("faults.py:one").dump() + "' < " + at + ".in > " + at + ".out 2> " + at +
                              ".err & echo pid $! > " + at + ".pid";
  ASSERT_EQ(std::system(command.c_str()), 0);
  const pid_t host = number_after(at + ".pid", "pid "), sleeper = number_after(at + ".err", "sleeper ");
  ASSERT_GT(host, 0);
  ASSERT_GT(sleeper, 0);
  EXPECT_TRUE(lives(sleeper));
  const pid_t python = ::getpgid(sleeper);
  EXPECT_TRUE(lives(python));
  ::kill(host, SIGKILL);
  for (int turn = 0; turn < 400 && (lives(sleeper) || lives(python)); ++turn)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_FALSE(lives(sleeper));
  EXPECT_FALSE(lives(python));
  for (const char* ending : {".in", ".out", ".err", ".pid"}) std::remove((at + ending).c_str());
}

}  // namespace
}  // namespace rewards_python_test
