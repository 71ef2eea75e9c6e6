// plugins replay: the table that a person reads, and what it says when the plugin is not there.
#include <gmock/gmock.h>

#include <sstream>

#include "support.hpp"

namespace e2e {
namespace {

using testing::HasSubstr;

class Replay : public testing::Test {
 protected:
  void SetUp() override {
    const Result recorded =
        host("score --plugins " LENGTH " --reward length --options '" + options + "' --record r.calls", scratch_.path(),
             R"({"completion": "four"})"
             "\n"
             R"({"completion": "a longer one, of more characters"})"
             "\n");
    ASSERT_EQ(recorded.status, 0) << recorded.err;
  }
  Result replay(const std::string& arguments) const { return host("plugins replay " + arguments, scratch_.path()); }
  const std::string options = R"({"form": "short", "unit": "characters", "minimum": 1, "maximum": 12})";
  Scratch scratch_;
};

TEST_F(Replay, PrintsAnAlignedTable) {
  const Result same = replay("r.calls --plugin " LENGTH);
  EXPECT_EQ(same.status, 0) << same.err;
  EXPECT_THAT(same.out, HasSubstr(" 0 differences\n"));
  EXPECT_THAT(same.out, testing::Not(HasSubstr("expected")));

  const Result other = replay("r.calls --plugin " LENGTH " --options '{\"maximum\": 40}'");
  EXPECT_EQ(other.status, 1);
  std::vector<std::string> rows;
  std::istringstream in(other.out);
  for (std::string line; std::getline(in, line);) rows.push_back(line);
  ASSERT_GE(rows.size(), 4u) << other.out;
  EXPECT_THAT(rows[0], HasSubstr("grpo.reward/1 'length' of "));
  const auto column = rows[1].find("expected");
  ASSERT_NE(column, std::string::npos) << other.out;
  EXPECT_EQ(rows[1].find("call"), 0u);
  for (std::size_t i = 2; i + 1 < rows.size(); ++i) {
    EXPECT_EQ(rows[i].find("2 score"), 0u) << rows[i];
    EXPECT_EQ(rows[i][column - 1], ' ') << "the column is not aligned:\n" << other.out;
    EXPECT_NE(rows[i][column], ' ') << "the column is not aligned:\n" << other.out;
  }
  EXPECT_THAT(rows.back(), HasSubstr("calls made again"));

  const Result one = replay("r.calls --plugin " LENGTH " --options '{\"maximum\": 40}' --most 1");
  EXPECT_THAT(one.out, HasSubstr("more (--most)"));
}

TEST_F(Replay, WithoutThePluginNamesItsFile) {
  const Result result = replay("r.calls --plugins " FAULTS "/fault_crashes.so");
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err, HasSubstr("no reward plugin 'length'"));
  EXPECT_THAT(result.err, HasSubstr("It was recorded from "));
  EXPECT_THAT(result.err, HasSubstr("--plugin " LENGTH));
}

TEST_F(Replay, HoldsCallsAgainstTheContract) {
  EXPECT_EQ(replay("r.calls --check-plugins --plugin " LENGTH).status, 0);
}

class List : public testing::Test {
 protected:
  Scratch scratch_;
};

// A build's folder has many libraries beside the plugins.
TEST_F(List, DoesNotDrownPluginsInOtherLibraries) {
  std::filesystem::copy_file(LENGTH, scratch_ / "length.so");
  for (int i = 0; i < 40; ++i) write(scratch_ / ("other" + std::to_string(i) + ".so"), "no library");
  const Result result = host("plugins list --plugins .", scratch_.path());
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("length"));
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 4) << result.err;
  EXPECT_THAT(result.err, HasSubstr("37 more .so files"));
}

TEST_F(List, NewTakesTheNameOfTheLanguageToo) {
  const Result made = host("plugins new reward word_limit --lang c++ --plugins " LENGTH, scratch_.path());
  EXPECT_EQ(made.status, 0) << made.err;
  EXPECT_TRUE(std::filesystem::exists(scratch_ / "word_limit/word_limit.cpp"));
  EXPECT_NE(host("plugins new reward other --lang rust", scratch_.path()).status, 0);
}

}  // namespace
}  // namespace e2e
