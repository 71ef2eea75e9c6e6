// Every mistake gets an error that names the place and the way out, before anything is trained, and leaves what is
// there.
#include <gtest/gtest.h>

#include <fstream>
#include <functional>

#include "support.hpp"

namespace fs = std::filesystem;
using namespace e2e;

namespace {

struct Mistake {
  const char* name;
  std::function<void(const fs::path&)> make;  // changes a good run
  const char* arguments;
  std::vector<std::string> says;  // all of these in the message
};

void edit(const fs::path& file, const std::string& from, const std::string& to) {
  std::string text = read(file);
  const auto at = text.find(from);
  ASSERT_NE(at, std::string::npos) << from << " in " << file;
  write(file, text.replace(at, from.size(), to));
}

// A checkpoint with weights, to be damaged.
void with_weights(const fs::path& dir) {
  ASSERT_EQ(host("sft --config run.yaml sft.max_steps=1 run.output_dir=made", dir).status, 0);
}
const char* damaged = "train --config run.yaml model.init=checkpoint model.path=made/checkpoint-1";

std::ptrdiff_t files_in(const fs::path& directory) {
  return std::distance(fs::directory_iterator(directory), fs::directory_iterator());
}

class BadInput : public testing::TestWithParam<Mistake> {};

TEST_P(BadInput, IsRefusedByName) {
  const Mistake& mistake = GetParam();
  Scratch dir;
  make_run(dir.path());
  fs::create_directories(dir / "out");
  write(dir / "out/keep.txt", "earlier output");
  mistake.make(dir.path());
  const auto result = host(mistake.arguments, dir.path());
  EXPECT_EQ(result.status, 1) << result.out << result.err;
  for (const auto& text : mistake.says)
    EXPECT_NE(result.err.find(text), std::string::npos) << "wanted: " << text << "\ngot: " << result.err;
  EXPECT_EQ(read(dir / "out/keep.txt"), "earlier output");
  EXPECT_EQ(files_in(dir / "out"), 1) << "something was written although nothing had begun";
}

// A refused run takes the directories that it made away again.
TEST_P(BadInput, LeavesNothingBehind) {
  const Mistake& mistake = GetParam();
  Scratch dir;
  make_run(dir.path());
  edit(dir / "run.yaml", "output_dir: out", "output_dir: new/out");
  mistake.make(dir.path());
  EXPECT_EQ(host(mistake.arguments, dir.path()).status, 1);
  EXPECT_FALSE(fs::exists(dir / "new")) << mistake.name;
}

const Mistake mistakes[] = {
    {"UnknownKey",
     [](const fs::path&) {},
     "train --config run.yaml algorithm.group_sise=4",
     {"algorithm.group_sise", "group_size"}},
    {"UnknownKeyInFile",
     [](const fs::path& d) { edit(d / "run.yaml", "max_new_tokens", "max_new_tokns"); },
     "train --config run.yaml",
     {"run.yaml:4", "max_new_tokns", "max_new_tokens"}},
    {"MistypedValue",
     [](const fs::path& d) { edit(d / "run.yaml", "group_size: 4", "group_size: four"); },
     "train --config run.yaml",
     {"run.yaml:6", "group_size", "four"}},
    {"NoSuchModel",
     [](const fs::path&) {},
     "train --config run.yaml model.path=nowhere",
     {"command line: model.path: nowhere: there is no such directory"}},
    {"ModelIsAGguf",
     [](const fs::path& d) { write(d / "model.gguf", "GGUF"); },
     "train --config run.yaml model.path=model.gguf",
     {"model.path", "grpo-host import"}},
    {"NoTokenizer",
     [](const fs::path& d) { fs::rename(d / "model/tokenizer.json", d / "model/tokenizer.model"); },
     "train --config run.yaml",
     {"run.yaml:3: model.path", "tokenizer.model", "save_pretrained"}},
    {"NoWeights", [](const fs::path&) {}, "train --config run.yaml model.init=checkpoint", {"model.safetensors"}},
    {"NoModelConfig",
     [](const fs::path& d) { fs::remove(d / "model/config.json"); },
     "train --config run.yaml",
     {"config.json"}},
    {"ModelConfigIsNotJson",
     [](const fs::path& d) { write(d / "model/config.json", "{\n"); },
     "train --config run.yaml",
     {"config.json: is not JSON, or is cut short: parse error at line 2"}},
    {"NoSuchReference",
     [](const fs::path&) {},
     "train --config run.yaml algorithm.kl_coefficient=0.1 reference.path=nowhere",
     {"command line: reference.path: nowhere"}},
    {"NoSuchDevice",
     [](const fs::path&) {},
     "train --config run.yaml model.device=gpu",
     {"command line: model.device: \"gpu\" is none of"}},
    {"OutputIsAFile",
     [](const fs::path&) {},
     "train --config run.yaml run.output_dir=data.jsonl",
     {"data.jsonl", "it is a file", "run.output_dir"}},
    {"NothingToResume",
     [](const fs::path&) {},
     "train --config run.yaml run.resume=must",
     {"command line: run.resume: there is no checkpoint"}},
    {"UnknownArchitecture",
     [](const fs::path& d) { edit(d / "model/config.json", "\"llama\"", "\"mamba\""); },
     "train --config run.yaml",
     {"config.json", "mamba"}},
    {"TruncatedWeights",
     [](const fs::path& d) {
       with_weights(d);
       fs::resize_file(d / "made/checkpoint-1/model.safetensors", 100000);
     },
     damaged,
     {"model.safetensors"}},
    {"LyingHeader",
     [](const fs::path& d) {
       with_weights(d);
       std::fstream file(d / "made/checkpoint-1/model.safetensors", std::ios::in | std::ios::out | std::ios::binary);
       const std::uint64_t huge = std::uint64_t{1} << 50;
       file.write(reinterpret_cast<const char*>(&huge), sizeof huge);
     },
     damaged,
     {"model.safetensors"}},
    {"WrongShape",
     [](const fs::path& d) {
       with_weights(d);
       edit(d / "made/checkpoint-1/config.json", "\"intermediate_size\": 288", "\"intermediate_size\": 256");
     },
     damaged,
     {"mlp", "288", "256"}},
    {"MalformedLine",
     [](const fs::path& d) { edit(d / "data.jsonl", "\n", "\n{\"prompt\": \"1+1=\", \"answer\"\n"); },
     "train --config run.yaml",
     {"data.jsonl:2"}},
    {"MissingColumn",
     [](const fs::path&) {},
     "train --config run.yaml data.prompt_key=question",
     {"data.jsonl:1", "question", "prompt", "solution"}},
    {"EmptyDataset",
     [](const fs::path& d) { write(d / "data.jsonl", ""); },
     "train --config run.yaml",
     {"data.jsonl", "empty"}},
    {"NoSuchDataset",
     [](const fs::path&) {},
     "train --config run.yaml data.path=missing.jsonl",
     {"command line: data.path: missing.jsonl: there is no such file"}},
    {"DatasetIsADirectory",
     [](const fs::path&) {},
     "train --config run.yaml evaluation.path=model",
     {"command line: evaluation.path: model is a directory"}},
    {"PromptIsANumber",
     [](const fs::path& d) { write(d / "data.jsonl", "{\"prompt\": 5, \"answer\": \"5\"}\n"); },
     "train --config run.yaml",
     {"data.jsonl:1: column `prompt` must be a text"}},
    {"PromptTooLong",
     [](const fs::path&) {},
     "train --config run.yaml data.max_prompt_length=3",
     {"data.jsonl:", "data.max_prompt_length"}},
    {"TooManyNewTokens",
     [](const fs::path&) {},
     "train --config run.yaml sampler.max_new_tokens=64",
     {"sampler.max_new_tokens", "64 positions"}},
    {"PromptAndCompletionTooLong",
     [](const fs::path&) {},
     "train --config run.yaml data.max_prompt_length=60",
     {"data.max_prompt_length", "max_position_embeddings"}},
    {"NoChatTemplate",
     [](const fs::path&) {},
     "train --config run.yaml data.raw_prompt=false",
     {"chat_template", "data.raw_prompt"}},
    {"NoSuchPlugin",
     [](const fs::path&) {},
     "train --config run.yaml model.plugin=transfromer",
     {"transfromer", "transformer"}},
    {"NoPluginsAtAll",
     [](const fs::path& d) { fs::create_directories(d / "empty"); },
     "train --config run.yaml --plugins empty",
     {"empty", "transformer"}},
    {"NoRewards",
     [](const fs::path& d) {
       edit(d / "run.yaml", "rewards: [{plugin: length, options: {form: short, minimum: 1, maximum: 6}}]", "");
     },
     "train --config run.yaml",
     {"rewards"}},
    {"UnknownRewardOption",
     [](const fs::path&) {},
     "train --config run.yaml rewards.0.options='{targt: 4}'",
     {"command line: rewards.0.options.targt", "did you mean 'target'"}},
    {"RewardOptionOfAnotherType",
     [](const fs::path& d) { edit(d / "run.yaml", "maximum: 6}", "maximum: six}"); },
     "train --config run.yaml",
     {"run.yaml:5: rewards.0.options.maximum: \"six\" is not a number"}},
    {"NoSuchTemplate",
     [](const fs::path&) {},
     "train --config run.yaml data.raw_prompt=false data.chat_template=none.jinja",
     {"command line: data.chat_template: none.jinja"}},
    {"TwoRewardsOfOneName",
     [](const fs::path&) {},
     "train --config run.yaml rewards.1.plugin=length",
     {"length", "name"}},
    {"UnknownOptimizerOption",
     [](const fs::path&) {},
     "train --config run.yaml optimizer.options='{beta3: 1}'",
     {"beta3", "beta2"}},
    {"NotAnOverride",
     [](const fs::path&) {},
     "train --config run.yaml group_size",
     {"group_size", "section.key=value"}},
    {"NotACommand", [](const fs::path&) {}, "trian --config run.yaml", {"trian", "Did you mean `train`?"}},
};

INSTANTIATE_TEST_SUITE_P(All, BadInput, testing::ValuesIn(mistakes),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(BadInput, LongPromptsMayBeDroppedOrCut) {
  Scratch dir;
  make_run(dir.path());
  const auto dropped =
      host("train --config run.yaml run.max_steps=1 data.max_prompt_length=5 data.overlong_prompts=drop", dir.path());
  EXPECT_EQ(dropped.status, 0) << dropped.err;
  EXPECT_NE(dropped.err.find("rows are left out"), std::string::npos) << dropped.err;
  const auto cut =
      host("train --config run.yaml run.max_steps=1 data.max_prompt_length=3 data.overlong_prompts=truncate_left",
           dir.path());
  EXPECT_EQ(cut.status, 0) << cut.err;
  EXPECT_EQ(read_jsonl(dir / "out/metrics.jsonl").back()["prompt_length/max"], 3);
}

}  // namespace
