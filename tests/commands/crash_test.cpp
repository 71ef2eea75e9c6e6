// train: what is left of a run that a plugin brings down.
#include <gmock/gmock.h>

#include "support.hpp"

namespace e2e {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class Train : public testing::Test {
 protected:
  // A run over the fake model whose only reward, `crashes`, does `how` at its first call; keys of its entry may follow.
  Result train(const std::string& reward) const {
    make_model(scratch_.path());
    write(scratch_ / "data.jsonl", "{\"prompt\": \"1+1=\", \"answer\": \"2\"}\n");
    write(scratch_ / "run.yaml", R"(run: {output_dir: out, max_steps: 1}
data: {path: data.jsonl, raw_prompt: true}
model: {plugin: fake, path: model}
sampler: {max_new_tokens: 4}
algorithm: {group_size: 2, prompts_per_step: 1}
rewards: [{plugin: crashes, options: {how: )" +
                                     reward + "}]\n");
    return host("train --config run.yaml --plugins " FAKE_MODEL " --plugins " FAULTS
                "/fault_crashes.so --plugins " PLUGINS,
                scratch_.path());
  }
  std::string log() const { return read(scratch_ / "out/run.log"); }
  Scratch scratch_;
};

TEST_F(Train, ACrashIsNamedOnStandardErrorAndInTheLog) {
  const Result result = train("'null'}");
  EXPECT_NE(result.status, 0);
  const auto named = AllOf(HasSubstr("grpo-host: SIGSEGV (at address 0x0) in plugin 'crashes' ("),
                           HasSubstr("fault_crashes.so): score\n"), HasSubstr("`isolate: true` beside the reward"));
  EXPECT_THAT(result.err, named);
  EXPECT_THAT(log(), named);
}

TEST_F(Train, AnExitOfAPluginIsNotTheEndOfTheRun) {
  const Result result = train("exit}");
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err, HasSubstr("grpo-host: exit(0) in plugin 'crashes' ("));
  EXPECT_THAT(log(), HasSubstr("exit(0) in plugin 'crashes'"));
}

TEST_F(Train, TheWayOutLeadsOut) {
  const Result result = train("'null'}, isolate: true");
  EXPECT_THAT(result.err, testing::Not(HasSubstr("SIGSEGV (at address")));
  EXPECT_THAT(log(), HasSubstr("SIGSEGV"));  // of its own process
}

}  // namespace
}  // namespace e2e
