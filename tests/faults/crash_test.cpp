// A plugin that brings the process down: the last words name it, and the process still ends as it would have.
#include <gmock/gmock.h>
#include <sys/resource.h>

#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "grpo/sdk/plugins/crash.hpp"
#include "grpo/sdk/plugins/reward.hpp"

namespace grpo::plugins {
namespace {

constexpr bool sanitized =
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    true;
#else
    false;
#endif

// A sanitizer, whose handler was there before, ends the process in its own way.
struct EndsBy {
  int signal;
  bool operator()(int status) const {
    if (sanitized) return !(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == signal;
  }
};

class Crash : public testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }

  static void crash(const std::string& how, bool on_thread = false) {
    const rlimit none{0, 0};
    setrlimit(RLIMIT_CORE, &none);
    RegistrySettings settings;
    settings.probe_cache.clear();
    settings.isolate_first_load = false;
    Registry registry(settings);
    registry.add_file(std::string(FAULTS) + "/fault_crashes.so");
    Reward reward(registry, "crashes", nlohmann::json{{"how", how}});
    RewardBatch batch;
    batch.add_sample({.row = batch.add_row({.prompt = "p"}), .completion = "c"});
    const auto score = [&] { reward.score(batch); };
    if (on_thread)
      std::thread(score).join();
    else
      score();
  }
  static void named(const std::string& how, bool on_thread = false) {
    name_crashes("a-host");
    crash(how, on_thread);
  }
};

const std::string here = "in plugin 'crashes' \\(.*fault_crashes\\.so\\): score";

TEST_F(Crash, EachSignalNamesPluginAndFunction) {
  EXPECT_EXIT(named("null"), EndsBy{SIGSEGV}, "a-host: SIGSEGV \\(at address 0x0\\) " + here);
  EXPECT_EXIT(named("divide"), EndsBy{SIGFPE}, "a-host: SIGFPE \\(an integer was divided by zero\\) " + here);
  EXPECT_EXIT(named("trap"), EndsBy{SIGILL}, "a-host: SIGILL .* " + here);
  EXPECT_EXIT(named("bus"), EndsBy{SIGBUS}, "a-host: SIGBUS .* " + here);
  EXPECT_EXIT(named("abort"), EndsBy{SIGABRT}, "a-host: SIGABRT \\(abort.*\\) " + here);
  EXPECT_EXIT(named("open"), EndsBy{SIGSEGV}, "fault_crashes\\.so\\): open");
}

TEST_F(Crash, TellsTheWayOut) {
  EXPECT_EXIT(named("null"), EndsBy{SIGSEGV}, "isolate: true(.|\n)*--check-plugins(.|\n)*plugins validate .*crashes");
}

TEST_F(Crash, InALibraryThatThePluginCalls) {
  EXPECT_EXIT(named("library"), EndsBy{SIGSEGV}, "a-host: SIGSEGV .* " + here);
}

TEST_F(Crash, WhenTheStackIsFull) {
  if (sanitized) GTEST_SKIP() << "the sanitizer's own stack is in the way";
  EXPECT_EXIT(named("overflow"), EndsBy{SIGSEGV}, "\\(the stack overflowed\\) " + here);
  EXPECT_EXIT(named("overflow", /*on_thread=*/true), EndsBy{SIGSEGV}, "\\(the stack overflowed\\) " + here);
}

TEST_F(Crash, OnAThreadOfThePlugin) {
  EXPECT_EXIT(named("thread"), EndsBy{SIGSEGV},
              "in .*fault_crashes\\.so, on a thread of its own(.|\n)*under way on other threads: plugin 'crashes'");
  EXPECT_EXIT(named("elsewhere"), EndsBy{SIGSEGV},
              "on a thread that the host called no plugin on(.|\n)*under way on other threads: plugin 'crashes'");
  EXPECT_EXIT(named("throw"), EndsBy{SIGABRT}, "SIGABRT (.|\n)*under way on other threads: plugin 'crashes'");
}

TEST_F(Crash, WhileItIsLoaded) {
  const auto load = [](const std::string& name) {
    name_crashes("a-host");
    RegistrySettings settings;
    settings.probe_cache.clear();
    settings.isolate_first_load = false;
    Registry registry(settings);
    registry.add_file(std::string(FAULTS) + "/fault_" + name + ".so");
    registry.load(GRPO_REWARD_ID, name);
  };
  EXPECT_EXIT(load("segfaults"), EndsBy{SIGSEGV}, "SIGSEGV in plugin 'segfaults' \\(.*fault_segfaults\\.so\\): load");
  EXPECT_EXIT(load("exits"), testing::ExitedWithCode(3),
              "exit\\(3\\) in plugin 'exits' \\(.*fault_exits\\.so\\): load");
}

TEST_F(Crash, OneThatCallsExitHasNotDoneItsWork) {
  EXPECT_EXIT(named("exit"), testing::ExitedWithCode(1), "a-host: exit\\(0\\) " + here + "(.|\n)*isolate: true");
  EXPECT_EXIT(
      named("exit_thread"), testing::ExitedWithCode(3),
      "exit\\(3\\) on a thread that the host called no plugin on(.|\n)*under way on other threads: plugin 'crashes'");
  EXPECT_EXIT(
      {
        name_crashes("a-host");
        crash("none");
        std::exit(0);
      },
      testing::ExitedWithCode(0), testing::Not(testing::HasSubstr("exit")));
}

TEST_F(Crash, GoesIntoTheLogToo) {
  const std::string file = testing::TempDir() + "/crash_test.log";
  std::ofstream(file) << "what was there\n";
  EXPECT_EXIT(
      {
        name_crashes_in(file);
        named("null");
      },
      EndsBy{SIGSEGV}, "SIGSEGV");
  std::stringstream text;
  text << std::ifstream(file).rdbuf();
  EXPECT_THAT(text.str(), testing::AllOf(testing::StartsWith("what was there\n"), testing::HasSubstr("): score\n")));
}

void earlier(int) {
  constexpr char text[] = "the handler from before\n";
  if (::write(STDERR_FILENO, text, sizeof text - 1) > 0) _exit(7);
}

TEST_F(Crash, TheHandlerFromBeforeComesNext) {
  EXPECT_EXIT(
      {
        std::signal(SIGSEGV, earlier);
        named("null");
      },
      testing::ExitedWithCode(7), "): score(.|\n)*the handler from before");
  EXPECT_EXIT(
      {
        std::signal(SIGABRT, earlier);
        named("abort");
      },
      testing::ExitedWithCode(7), "): score(.|\n)*the handler from before");
}

TEST_F(Crash, OneThatWasSentIsNoPluginsFault) {
  EXPECT_EXIT(
      {
        name_crashes("a-host");
        const pid_t child = fork();
        if (child == 0) _exit(kill(getppid(), SIGSEGV));
        for (;;) pause();
      },
      EndsBy{SIGSEGV}, "SIGSEGV \\(sent by process [0-9]+\\)");
}

TEST_F(Crash, NothingIsInstalledUnasked) {
  EXPECT_EXIT(crash("null"), EndsBy{SIGSEGV}, testing::Not(testing::HasSubstr("plugin 'crashes'")));
  struct sigaction now {};
  sigaction(SIGSEGV, nullptr, &now);
  if (!sanitized) {
    EXPECT_EQ(now.sa_handler, SIG_DFL);
  }
}

}  // namespace
}  // namespace grpo::plugins
