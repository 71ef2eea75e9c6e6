// Every planted bug is found, the smallest input that shows it is small, and its recording shows it again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include "fuzz/generate.hpp"
#include "grpo/sdk/plugins/fuzz.hpp"
#include "grpo/sdk/plugins/reward.hpp"
#include "support.hpp"

namespace grpo::plugins {
namespace {

using testing::HasSubstr;

FuzzReport fuzz_planted(const Folder& folder, const std::string& component, FuzzSettings settings = {}) {
  settings.host = GRPO_HOST;
  settings.library = PLANTED;
  settings.component = component;
  settings.output = folder / component;
  if (settings.runs == 2000) settings.runs = 64;
  settings.tries = std::min(settings.tries, 150);
  settings.seconds = 3600;  // the same on a slow machine
  return fuzz(settings);
}

struct Replayed {
  int status;
  std::string text;
};
Replayed replay_file(const std::string& file, const std::string& more = "") {
  FILE* pipe = popen((GRPO_HOST " plugins replay " + file + " --plugin " PLANTED " " + more + " 2>&1").c_str(), "r");
  std::string text;
  char buffer[512];
  while (pipe && fgets(buffer, sizeof buffer, pipe)) text += buffer;
  const int status = pipe ? pclose(pipe) : -1;
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), text};
}

TEST(Fuzz, NothingIsFoundInAGoodOne) {
  const Folder folder;
  const FuzzReport report = fuzz_planted(folder, "good");
  EXPECT_TRUE(report.findings.empty()) << report.findings[0].what;
  EXPECT_GE(report.runs, 64);
  EXPECT_GT(report.calls, 3 * report.runs);
}

TEST(Words, AreThoseOfTheLibraryAndNotOfASanitizer) {
  using fuzzing::of_a_sanitizer;
  for (const char* word : {"*.LC11", "*.Lubsan_data1736", "2 48 8 5 o:121 80 40 5 h:121", "1 32 16 9 <unknown>"})
    EXPECT_TRUE(of_a_sanitizer(word)) << word;
  for (const char* word : {"<|unlikely|>", "*.L", "*.LC", "1 2 3 4", "12 34", "secret"})
    EXPECT_FALSE(of_a_sanitizer(word)) << word;
  const std::vector<std::string> words = fuzzing::words_of(PLANTED);
  EXPECT_THAT(words, testing::Contains("<|unlikely|>"));
  EXPECT_THAT(words, testing::Each(testing::Not(testing::StartsWith("*.Lubsan"))));
}

struct Bug {
  const char *component, *kind, *what, *input, *replayed;
};
class Planted : public testing::TestWithParam<Bug> {};

TEST_P(Planted, IsFoundAndMadeSmall) {
  const Bug& bug = GetParam();
  const Folder folder;
  FuzzSettings settings;
#if defined(__SANITIZE_ADDRESS__)
  // Some of the texts that it puts into the library, names of files, are among those that are tried.
  if (std::string_view(bug.component) == "crashes") settings.runs = 256;
#endif
  const FuzzReport report = fuzz_planted(folder, bug.component, settings);
  ASSERT_EQ(report.findings.size(), 1u);
  const Finding& f = report.findings[0];
  EXPECT_EQ(f.kind, bug.kind);
  EXPECT_THAT(f.what, HasSubstr(bug.what));
  EXPECT_THAT(f.input, HasSubstr(bug.input));
  EXPECT_EQ(f.output, "") << "what the host says is not what the plugin printed";
  const Replayed again = replay_file(f.file, f.kind == "contract" ? "--check-plugins" : "");
  EXPECT_NE(again.status, 0) << again.text;
  EXPECT_THAT(again.text, HasSubstr(bug.replayed));
}

INSTANTIATE_TEST_SUITE_P(
    Fuzz, Planted,
    testing::Values(Bug{"crashes", "crash", "SIGABRT", "1 sample: \"<|unlikely|>\"", "crashed in call 2"},
                    Bug{"leaves_nan", "score", "NaN", "1 sample: \"\"", "no finite score"},
                    Bug{"leaves", "exit", "ended the process", "1 sample: \"\"", "ended the process in call 2"},
                    Bug{"by_order", "order", "the opposite order", "2 samples", "score"},
                    Bug{"by_batch", "split", "a part of the batch alone", "2 samples", "score"},
                    Bug{"remembers", "repeat", "the same batch again", "1 sample: \"\"", "score"},
                    Bug{"overruns", "contract", "it wrote past the end of score", "1 sample: \"\"", "0 differences"},
                    Bug{"opens_badly", "open", "without a text", "options {}", "says nothing"}),
    [](const auto& info) { return std::string(info.param.component); });

TEST(Fuzz, AHangIsFound) {
  const Folder folder;
  FuzzSettings settings;
  settings.timeout_seconds = 0.5;
  settings.tries = 10;
  settings.runs = 16;
  const FuzzReport report = fuzz_planted(folder, "hangs", settings);
  ASSERT_EQ(report.findings.size(), 1u);
  EXPECT_EQ(report.findings[0].kind, "hang");
  EXPECT_THAT(report.findings[0].input, HasSubstr("boxed{"));
  EXPECT_EQ(replay_file(report.findings[0].file, "--kill-after 0.5").status, 128 + SIGALRM);
}

// What a seed found it finds again, and a corpus leads to what nobody would make up.
TEST(Fuzz, TheSameSeedDoesTheSame) {
  const Folder folder;
  const FuzzReport one = fuzz_planted(folder, "by_order"), two = fuzz_planted(folder, "by_order");
  ASSERT_EQ(one.findings.size(), 1u);
  EXPECT_EQ(one.findings[0].input, two.findings[0].input);
  EXPECT_EQ(one.findings[0].run, two.findings[0].run);
  EXPECT_EQ(one.calls, two.calls);
}

TEST(Fuzz, ACorpusIsChanged) {
  const Folder folder;
  {
    Registry registry = fakes();
    Reward reward(recorded(registry.load(GRPO_REWARD_ID, "boxed"), {.file = folder / "corpus.calls"}), nullptr);
    RewardBatch batch;
    const auto row = batch.add_row({.ground_truth = "42"});
    batch.add_sample({.row = row, .completion = "open sesame, 17"});
    reward.score(batch);
  }
  FuzzSettings settings;
  settings.corpus = folder / "corpus.calls";
  const FuzzReport report = fuzz_planted(folder, "secret", settings);
  ASSERT_EQ(report.findings.size(), 1u);
  EXPECT_THAT(report.findings[0].input, HasSubstr("open sesame, 17"));
  settings.corpus.clear();
  EXPECT_TRUE(fuzz_planted(folder, "secret", settings).findings.empty());
}

TEST(Fuzz, SaysWhatItCannotDo) {
  const Folder folder;
  EXPECT_THAT(error_of([&] { fuzz_planted(folder, ""); }), HasSubstr("name one of them with --component"));
  EXPECT_THAT(error_of([&] { fuzz_planted(folder, "nobody"); }), HasSubstr("crashes"));
  FuzzSettings settings;
  const nlohmann::json options = {{"limits", 3}};
  settings.options = &options;
  EXPECT_THAT(error_of([&] { fuzz_planted(folder, "good", settings); }), HasSubstr("no option limits"));
}

}  // namespace
}  // namespace grpo::plugins
