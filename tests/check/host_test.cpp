// --check-plugins as a user gives it.
#include <gmock/gmock.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace {

struct Result {
  int status;
  nlohmann::json row;  // the only line of output
  std::string log;
};

Result score(const std::string& before, const std::string& flags) {
  namespace fs = std::filesystem;
  std::string pattern = (fs::temp_directory_path() / "grpo-check-XXXXXX").string();
  const fs::path folder = mkdtemp(pattern.data());
  std::ofstream(folder / "in") << R"({"prompt": "p", "completion": "c"})"
                               << "\n";
  const std::string command = "cd " + folder.string() + " && " + before + " " GRPO_BINARY_DIR "/bin/grpo-host score " +
                              flags + " --plugins " BROKEN "/broken_reward.so --reward broken --options " +
                              R"('{"how": "results.outside"}' < in > out 2> err)";
  const int status = std::system(command.c_str());
  std::ifstream out(folder / "out"), err(folder / "err");
  Result result{WEXITSTATUS(status), nlohmann::json::parse(out, nullptr, false), {}};
  result.log.assign(std::istreambuf_iterator<char>(err), {});
  fs::remove_all(folder);
  return result;
}

TEST(Host, ScoreChecksWhenItIsAsked) {
  for (const auto& [before, flags] : {std::pair{"", "--check-plugins"}, {"GRPO_CHECK_PLUGINS=1", ""}}) {
    const Result checked = score(before, flags);
    EXPECT_EQ(checked.row["status"], "error") << checked.log;
    EXPECT_THAT(checked.row.value("message", ""), testing::HasSubstr("[results.outside]"));
    EXPECT_THAT(checked.log, testing::AllOf(testing::HasSubstr("plugin 'broken' ("),
                                            testing::HasSubstr("it wrote past the end of score [results.outside]")));
  }
}

TEST(Host, RunsHaveAKeyForIt) {
  for (const auto& [flags, value] : {std::pair{"--check-plugins", "true"}, {"", "false"}}) {
    const std::string command = GRPO_BINARY_DIR "/bin/grpo-host config " + std::string(flags) +
                                " 2> /dev/null | grep -q 'check_plugins: " + value + "'";
    EXPECT_EQ(std::system(command.c_str()), 0) << flags;
  }
}

}  // namespace
