// Plugins that do what they should not: the host lives, the samples of that call say why, the next call succeeds.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <thread>

#include "support.hpp"

namespace grpo::plugins {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class Hostile : public testing::Test {
 protected:
  std::unique_ptr<Reward> open(const IsolateSettings& settings = quick(),
                               const nlohmann::json& options = nlohmann::json::object()) {
    return std::make_unique<Reward>(
        isolated(registry_, GRPO_REWARD_ID, "hostile", settings), options,
        OpenSettings{.services = log_.services(), .where = {}, .label = {}, .progress = {}});
  }

  // A batch with a deed in it is lost and says why; those before and after are not.
  std::string lost(const std::string& deed, const IsolateSettings& settings = quick(), double timeout = 30) {
    const auto reward = open(settings);
    expect_good(*reward);
    const RewardScores s = score(*reward, {"fine", deed}, timeout);
    EXPECT_EQ(s.count(GRPO_SAMPLE_ERROR), 2) << deed;
    EXPECT_TRUE(std::isnan(s.score[0])) << deed;
    EXPECT_THAT(s.message[1], AllOf(HasSubstr("plugin 'hostile' ("), HasSubstr("hostile.so): score: "))) << deed;
    expect_good(*reward);
    return s.message[1];
  }

  static RewardScores score(Reward& reward, const std::vector<std::string>& completions, double timeout = 30) {
    return reward.score(batch_of(completions),
                        {.timeout = std::chrono::milliseconds(static_cast<int>(timeout * 1000)), .cancel = nullptr});
  }
  static void expect_good(Reward& reward) {
    const RewardScores s = score(reward, {"abc", "de"});
    EXPECT_EQ(s.score, (std::vector<double>{3, 2})) << s.message[0];
  }

  Registry registry_ = isolation_registry();
  Log log_;
};

TEST_F(Hostile, Crashes) {
  EXPECT_THAT(lost("segv"), AllOf(HasSubstr("killed by SIGSEGV (Segmentation fault)"), HasSubstr("1 of 2 samples")));
  EXPECT_THAT(log_.text(), AllOf(HasSubstr("hostile: score: its process was killed by SIGSEGV"),
                                 HasSubstr("it will be started again (1 of 5 in a row)")));
  EXPECT_THAT(lost("abort"), AllOf(HasSubstr("killed by SIGABRT"), HasSubstr("it wrote: the end is near")));
}

TEST_F(Hostile, Exits) { EXPECT_THAT(lost("exit"), HasSubstr("called exit(7)")); }

TEST_F(Hostile, NeverComesBack) {
  const auto reward = open();
  const RewardScores s = score(*reward, {"fine", "spin", "fine"}, 1);
  // What had its score before the deadline keeps it.
  EXPECT_EQ(s.status, (std::vector<std::int32_t>{GRPO_SAMPLE_OK, GRPO_SAMPLE_TIMEOUT, GRPO_SAMPLE_TIMEOUT}));
  EXPECT_EQ(s.score[0], 4);
  EXPECT_THAT(s.message[2],
              AllOf(HasSubstr("plugin 'hostile' ("), HasSubstr("did not come back from score by its deadline"),
                    HasSubstr("its process was killed (1 of 3 samples had a score)")));
  expect_good(*reward);
}

TEST_F(Hostile, KeepsToItsDeadline) {
  const auto reward = open();
  const RewardScores s = score(*reward, {"fine", "until cancelled", "fine"}, 1);
  EXPECT_EQ(s.status, (std::vector<std::int32_t>{GRPO_SAMPLE_OK, GRPO_SAMPLE_OK, GRPO_SAMPLE_TIMEOUT}));
  EXPECT_THAT(s.message[2], HasSubstr("not reached in time"));
  EXPECT_EQ(log_.text(), "") << "a plugin that keeps to its deadline loses no process";
}

TEST_F(Hostile, CancelledFromOutside) {
  std::atomic<bool> stop{false};
  for (const char* deed : {"until cancelled", "spin"}) {
    const auto reward = open();
    stop = false;
    std::thread later([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      stop = true;
    });
    const RewardScores s = reward->score(batch_of({deed, "fine"}), {.timeout = {}, .cancel = &stop});
    later.join();
    EXPECT_EQ(s.status[1], GRPO_SAMPLE_TIMEOUT) << deed << ": " << s.message[1];
    expect_good(*reward);
  }
}

// The limit is the process's own: an allocation fails, and a reward in C++ says so for its sample.
TEST_F(Hostile, AsksForTenGiB) {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  IsolateSettings settings = quick();
  settings.memory_gib = 0.5;
  const auto reward = open(settings);
  const RewardScores s = score(*reward, {"fine", "memory", "fine"});
  EXPECT_EQ(s.status, (std::vector<std::int32_t>{GRPO_SAMPLE_OK, GRPO_SAMPLE_ERROR, GRPO_SAMPLE_OK})) << s.message[0];
  EXPECT_THAT(s.message[1], AllOf(Not(HasSubstr("process")), HasSubstr("memory")));
  expect_good(*reward);
  EXPECT_THAT(lost("malloc", settings), HasSubstr("SIGSEGV"));
  const RewardScores raised = score(*reward, {"more limits"});
  EXPECT_EQ(raised.score[0], 1) << "the plugin raised its own limit";
#endif
}

TEST_F(Hostile, ClosesAllDescriptors) {
  EXPECT_THAT(lost("close all"), HasSubstr("closed its connection to the host"));
  EXPECT_THAT(lost("close all and stay"), HasSubstr("closed its connection to the host"));
}

TEST_F(Hostile, FloodsItsOutput) {
  const auto reward = open();
  const RewardScores s = score(*reward, {"flood"});
  EXPECT_EQ(s.score[0], 1);
  for (int i = 0; i < 500 && log_.text().find("left out") == std::string::npos; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    expect_good(*reward);
  }
  const std::string text = log_.text();
  EXPECT_THAT(text, AllOf(HasSubstr("wrote: ffff"), HasSubstr("bytes more, which are left out")));
  EXPECT_LT(text.size(), 60u * 1024) << "4 MB were written";
}

TEST_F(Hostile, WhatItWritesIsInTheLog) {
  const auto reward = open();
  EXPECT_EQ(score(*reward, {"say"}).score[0], 1);
  for (int i = 0; i < 200 && log_.text().empty(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    expect_good(*reward);
  }
  EXPECT_THAT(log_.text(), HasSubstr("hostile: wrote: a line of its own"));
}

TEST_F(Hostile, MayNotStartProcesses) {
  const auto reward = open();
  const RewardScores s = score(*reward, {"bomb", "fine"});
  EXPECT_EQ(s.status[0], GRPO_SAMPLE_ERROR);
  EXPECT_THAT(s.message[0], HasSubstr("fork refused after 0"));
  EXPECT_EQ(s.score[1], 4);
}

TEST_F(Hostile, ForkBomb) {
  IsolateSettings settings = quick();
  settings.processes = 8;
  EXPECT_THAT(lost("bomb", settings),
              AllOf(HasSubstr("killed because it had started"), HasSubstr("more than its limit")));
}

// A grandchild in a session of its own, whose parent is gone, goes too.
TEST_F(Hostile, LeavesNobodyBehind) {
  const auto marker = std::filesystem::temp_directory_path() / ("grpo-orphan-" + std::to_string(::getpid()));
  std::filesystem::remove(marker);
  IsolateSettings settings = quick();
  settings.processes = 4;
  const auto reward = open(settings, {{"marker", marker.string()}});
  EXPECT_EQ(score(*reward, {"orphan"}).count(GRPO_SAMPLE_ERROR), 1);
  pid_t orphan = 0;
  std::ifstream(marker) >> orphan;
  std::filesystem::remove(marker);
  ASSERT_GT(orphan, 1);
  EXPECT_NE(::kill(orphan, 0), 0) << "process " << orphan << " has survived";
}

pid_t parent_of(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("PPid:")) return std::stoi(line.substr(5));
  return 0;
}
bool gone_soon(pid_t pid) {
  for (int i = 0; i < 1000; ++i) {
    if (::kill(pid, 0) != 0) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

// A host that is killed takes its plugins' processes along.
TEST_F(Hostile, NothingSurvivesTheHost) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t host = ::fork();
  if (host == 0) {
    Reward alone(isolated(registry_, GRPO_REWARD_ID, "hostile_alone", quick()), nullptr);
    const double pid = alone.score(batch_of({"a"})).score[0];
    [[maybe_unused]] const ssize_t n = ::write(ends[1], &pid, sizeof pid);
    ::pause();
    ::_exit(0);
  }
  double number = 0;
  ASSERT_EQ(::read(ends[0], &number, sizeof number), static_cast<ssize_t>(sizeof number));
  const auto worker = static_cast<pid_t>(number), supervisor = parent_of(worker);
  ASSERT_GT(worker, 1);
  ASSERT_GT(supervisor, 1);
  EXPECT_EQ(::kill(worker, 0), 0);
  ::kill(host, SIGKILL);
  ::waitpid(host, nullptr, 0);
  EXPECT_TRUE(gone_soon(worker));
  EXPECT_TRUE(gone_soon(supervisor));
  for (const int end : ends) ::close(end);
}

TEST_F(Hostile, TheSupervisorIsKilled) {
  Reward alone(isolated(registry_, GRPO_REWARD_ID, "hostile_alone", quick()), nullptr);
  const auto worker = static_cast<pid_t>(alone.score(batch_of({"a"})).score[0]);
  ::kill(parent_of(worker), SIGKILL);
  EXPECT_TRUE(gone_soon(worker)) << "the plugin's process has outlived the one that watched it";
  const RewardScores s = alone.score(batch_of({"a"}));
  EXPECT_EQ(s.count(GRPO_SAMPLE_OK), 1) << s.message[0];
  EXPECT_NE(s.score[0], static_cast<double>(worker));
}

TEST_F(Hostile, WritesGarbageToTheSocket) {
  EXPECT_THAT(lost("garbage"), HasSubstr("wrote something of its own to the socket"));
}

TEST_F(Hostile, CannotHarmTheHostThroughWhatTheyShare) {
  const auto reward = open();
  EXPECT_EQ(score(*reward, {"shrink"}).score[0], 1) << "the shared memory could be cut short";
  EXPECT_EQ(score(*reward, {"kill the host"}).score[0], 1) << "another process could be killed";
  expect_good(*reward);
}

TEST_F(Hostile, DiesBetweenTwoCalls) {
  const auto reward = open();
  EXPECT_EQ(score(*reward, {"dies afterwards"}).score[0], 1);
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  expect_good(*reward);  // no sample is lost
  EXPECT_THAT(log_.text(), HasSubstr("between two calls its process was killed by SIGABRT"));
}

TEST_F(Hostile, DiesInOpen) {
  const auto at_open = [this](const char* deed) {
    IsolateSettings settings = quick();
    settings.open_seconds = std::string(deed) == "spin" ? 2 : 30;
    return error_of([&] { open(settings, {{"at_open", deed}}); });
  };
  EXPECT_THAT(at_open("segv"),
              AllOf(HasSubstr("plugin 'hostile' ("), HasSubstr("open: its process was killed by SIGSEGV")));
  EXPECT_THAT(at_open("exit"), HasSubstr("open: its process called exit(3)"));
  EXPECT_THAT(at_open("throw"), HasSubstr("open: the judge is out (failed)"));
  EXPECT_THAT(at_open("spin"), HasSubstr("did not come back within 2 s; its process was killed"));
}

TEST_F(Hostile, DiesInClose) {
  for (const auto& [deed, word] : {std::pair("segv", "close: its process was killed by SIGSEGV"),
                                   std::pair("exit", "close: its process called exit(3)"),
                                   std::pair("spin", "did not come back from close within 2 s")}) {
    auto reward = open(quick(), {{"at_close", deed}});
    expect_good(*reward);
    reward.reset();
    EXPECT_THAT(log_.text(), HasSubstr(word));
  }
}

TEST_F(Hostile, Quarantine) {
  IsolateSettings settings = quick();
  settings.max_crashes = 3;
  const auto reward = open(settings);
  for (int i = 0; i < 2; ++i) EXPECT_THAT(score(*reward, {"segv"}).message[0], HasSubstr("SIGSEGV"));
  expect_good(*reward);  // which ends the row
  for (int i = 0; i < 3; ++i) EXPECT_THAT(score(*reward, {"segv"}).message[0], HasSubstr("killed by SIGSEGV"));
  const RewardScores s = score(*reward, {"fine"});
  EXPECT_EQ(s.count(GRPO_SAMPLE_ERROR), 1);
  EXPECT_THAT(s.message[0],
              AllOf(HasSubstr("is not started again: it was lost 3 times in a row"), HasSubstr("SIGSEGV")));
}

TEST_F(Hostile, PausesGrow) {
  IsolateSettings settings = quick();
  settings.backoff_seconds = 0.2;
  const auto reward = open(settings);
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 3; ++i) score(*reward, {"segv"});
  expect_good(*reward);
  // None after the first, 0.2 s after the second, 0.4 s after the third.
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(600));
}

}  // namespace
}  // namespace grpo::plugins
