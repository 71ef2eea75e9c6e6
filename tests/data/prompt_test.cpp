// From records to prompts and ground truths.
#include <grpo/sdk/data/prompt.hpp>

#include "files.hpp"

using namespace grpo::data;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using json = nlohmann::ordered_json;

namespace {

// Stands for the template engine: shows what it was given.
Compile show_variables(std::string* name_seen = nullptr) {
  return [=](const std::string& source, const std::string& name) -> Render {
    if (name_seen) *name_seen = name;
    return [=](const json& variables) { return source + variables.dump(); };
  };
}

grpo::config::Config config_of(const std::string& yaml, const std::string& base = "") {
  return grpo::config::load(grpo::config::Source{"run.yaml", yaml, base});
}

const char* const question = R"({"prompt": "1+1?", "answer": 2, "level": "easy"})";

}  // namespace

TEST(Prompt, TextBecomesAUserMessage) {
  const Prompt prompt = PromptBuilder({}).build(json::parse(question), "here");
  EXPECT_EQ(prompt.messages, R"([{"role":"user","content":"1+1?"}])");
  EXPECT_EQ(prompt.text, "");
  EXPECT_EQ(prompt.ground_truth, "2");
}

TEST(Prompt, SystemPromptComesFirst) {
  const PromptBuilder builder({.system_prompt = "Be brief."});
  EXPECT_EQ(builder.build(json::parse(question), "here").messages,
            R"([{"role":"system","content":"Be brief."},{"role":"user","content":"1+1?"}])");
}

TEST(Prompt, MessagesInThePromptColumnOrTheirOwn) {
  const json record = json::parse(R"({"prompt": [{"role": "user", "content": "a"}], "answer": "b",
    "chat": [{"role": "system", "content": "s"}, {"role": "user", "content": "c", "name": "n"}]})");
  const PromptBuilder in_prompt({.system_prompt = "S"});
  EXPECT_EQ(in_prompt.build(record, "").messages, R"([{"role":"system","content":"S"},{"role":"user","content":"a"}])");
  // A conversation with a system message of its own keeps it.
  const PromptBuilder own({.messages_key = "chat", .system_prompt = "S"});
  EXPECT_EQ(own.build(record, "").messages,
            R"([{"role":"system","content":"s"},{"role":"user","content":"c","name":"n"}])");
  EXPECT_TRUE(PromptBuilder::has_system_message(record["chat"]));
  EXPECT_FALSE(PromptBuilder::has_system_message(record["prompt"]));
}

TEST(Prompt, TemplateSeesContentAndEveryColumn) {
  std::string name;
  const PromptBuilder builder({.prompt_template = "T:"}, show_variables(&name));
  EXPECT_EQ(name, "data.prompt_template");
  const json messages = json::parse(builder.build(json::parse(question), "").messages);
  EXPECT_EQ(messages[0]["content"], R"(T:{"prompt":"1+1?","answer":2,"level":"easy","content":"1+1?"})");
  EXPECT_THROW(PromptBuilder({.prompt_template = "T"}), grpo::Error);
}

TEST(Prompt, RawIsTheTextAlone) {
  const Prompt prompt = PromptBuilder({.system_prompt = "unused", .raw = true}).build(json::parse(question), "");
  EXPECT_EQ(prompt.text, "1+1?");
  EXPECT_EQ(prompt.messages, "");
  const PromptBuilder with_template({.prompt_template = "T:", .raw = true}, show_variables());
  EXPECT_THAT(with_template.build(json::parse(question), "").text, testing::StartsWith("T:{"));
}

TEST(Prompt, MistakesNameThePlaceAndTheColumn) {
  const auto error = [](const PromptOptions& options, const std::string& record) {
    return error_of([&] { PromptBuilder(options).build(json::parse(record), "a.jsonl:3"); });
  };
  EXPECT_EQ(error({}, R"({"question": 1})"), "a.jsonl:3: has no column `prompt`. There are: question");
  EXPECT_EQ(error({}, R"({"prompt": "x"})"), "a.jsonl:3: has no column `answer`. There are: prompt");
  EXPECT_EQ(error({.answer_key = ""}, R"({"prompt": 3})"),
            "a.jsonl:3: column `prompt` must be a text or a list of messages, found number");
  EXPECT_EQ(error({.answer_key = "", .messages_key = "m"}, R"({"m": "x"})"),
            "a.jsonl:3: column `m` must be a list of {role, content}, found string");
  EXPECT_THAT(error({.answer_key = ""}, R"({"prompt": []})"), HasSubstr("is an empty list of messages"));
  EXPECT_THAT(error({.answer_key = ""}, R"({"prompt": [{"role": "user"}, {"content": "x"}]})"),
              HasSubstr("element 1 has no role that is a text"));
  EXPECT_THAT(error({.answer_key = "", .raw = true}, R"({"prompt": [{"role": "user"}]})"),
              HasSubstr("data.raw_prompt"));
  EXPECT_THAT(error({.answer_key = ""}, R"({"prompt": [{"role": "user"}, {"role": "assistant", "content": "2"}]})"),
              HasSubstr("the prompt would hold the answer"));
}

TEST(Prompt, OptionsOfTraining) {
  const PromptOptions options = PromptOptions::of_training(
      config_of("data:\n  prompt_key: question\n  system_prompt: S\n  prompt_template: '{{ content }}'\n"));
  EXPECT_THAT(options.required, ElementsAre("question", "answer"));
  EXPECT_EQ(options.required_by[0], "run.yaml:2: data.prompt_key");
  EXPECT_THAT(options.required_by[1], HasSubstr("data.answer_key (default) (set it to \"\" if there is none)"));
  EXPECT_EQ(options.system_prompt, "S");
  EXPECT_EQ(options.prompt_template, "{{ content }}");
  const PromptOptions none = PromptOptions::of_training(config_of("data: {answer_key: '', messages_key: m}"));
  EXPECT_THAT(none.required, ElementsAre("m"));
  EXPECT_EQ(PromptBuilder(none).build(json::parse(R"({"m": [{"role": "user"}]})"), "").ground_truth, "");
}

TEST(Prompt, OptionsOfEvaluation) {
  const std::string data = "data: {prompt_key: question, answer_key: target}\n";
  EXPECT_THAT(PromptOptions::of_evaluation(config_of(data)).required, ElementsAre("question", "target"));
  const auto own =
      PromptOptions::of_evaluation(config_of(data + "evaluation: {prompt_key: input, answer_key: gold}\n"));
  EXPECT_THAT(own.required, ElementsAre("input", "gold"));
  EXPECT_EQ(own.required_by[0], "run.yaml:2: evaluation.prompt_key");
}

TEST(Prompt, OptionsOfSupervisedTraining) {
  const auto text = PromptOptions::of_sft(config_of("sft: {completion_key: solution}\n"));
  EXPECT_THAT(text.required, ElementsAre("prompt", "solution"));
  const auto chat = PromptOptions::of_sft(config_of("data: {messages_key: m}\n"));
  EXPECT_THAT(chat.required, ElementsAre("m"));
  const json record =
      json::parse(R"({"m": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]})");
  const Prompt prompt = PromptBuilder(chat).build(record, "");
  EXPECT_EQ(prompt.messages, R"([{"role":"user","content":"a"}])");
  EXPECT_EQ(prompt.ground_truth, "b");
  EXPECT_THAT(error_of([&] { PromptBuilder(chat).build(json::parse(R"({"m": [{"role": "user"}]})"), "x:1"); }),
              HasSubstr("must end with an assistant message"));
}

TEST(Prompt, TextsFromFilesLoseTheWhiteSpaceAround) {
  const TemporaryFile file("\n  Solve: {{ content }}\n\n", "prompt.jinja");
  const auto folder = file.path.parent_path().string();
  const auto options = PromptOptions::of_training(config_of("data: {prompt_template: 'file:prompt.jinja'}", folder));
  EXPECT_EQ(options.prompt_template, "Solve: {{ content }}");
  EXPECT_EQ(options.template_name, file.path.string());
  EXPECT_THAT(error_of([&] { PromptOptions::of_training(config_of("data: {system_prompt: 'file:no.txt'}", folder)); }),
              AllOf(HasSubstr("run.yaml:1: data.system_prompt: cannot read "), HasSubstr("no.txt")));
}

TEST(GroundTruth, AsPythonPrintsIt) {
  std::ifstream in(GRPO_TEST_DATA "/samples/python_repr.jsonl");
  int numbers = 0;
  for (std::string line; std::getline(in, line); ++numbers) {
    const json row = json::parse(line);
    EXPECT_EQ(ground_truth_text(row["value"]), row["text"]) << line;
  }
  EXPECT_EQ(numbers, 204);
}

TEST(GroundTruth, OtherValues) {
  EXPECT_EQ(ground_truth_text(json::parse(R"("#### 18")")), "#### 18");
  EXPECT_EQ(ground_truth_text(nullptr), "");
  EXPECT_EQ(ground_truth_text(json::parse(R"(["$\\frac{1}{2}$"])")), "$\\frac{1}{2}$");
  EXPECT_EQ(ground_truth_text(json::parse("[27.0]")), "27.0");
  EXPECT_EQ(ground_truth_text(json::parse(R"(["a", "b"])")), R"(["a","b"])");
  EXPECT_EQ(ground_truth_text(json::parse(R"([["a"]])")), R"([["a"]])");
  EXPECT_EQ(ground_truth_text(json::parse(R"({"z": 1, "a": true})")), R"({"z":1,"a":true})");
  EXPECT_EQ(ground_truth_text(true), "true");
}

TEST(FitPrompt, Policies) {
  std::vector<std::int32_t> ids = {1, 2, 3, 4, 5};
  EXPECT_TRUE(fit_prompt(ids, 5, Overlong::error, ""));
  EXPECT_EQ(ids.size(), 5u);
  EXPECT_FALSE(fit_prompt(ids, 4, overlong_from("drop"), ""));
  EXPECT_TRUE(fit_prompt(ids, 2, overlong_from("truncate_left"), ""));
  EXPECT_THAT(ids, ElementsAre(4, 5));
  EXPECT_THAT(
      error_of([&] { fit_prompt(ids, 1, overlong_from("error"), "a.jsonl:7"); }),
      AllOf(HasSubstr("a.jsonl:7: the prompt has 2 tokens, the limit is 1"), HasSubstr("data.overlong_prompts")));
  EXPECT_THAT(error_of([] { overlong_from("dorp"); }), HasSubstr("Did you mean `drop`?"));
}
