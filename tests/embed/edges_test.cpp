// libgrpo.so at its edges: NULL where something is needed, counts that cannot be, on every function of embed.h. Each is
// refused with a status and a text, and leaves no result behind.
#include <gmock/gmock.h>
#include <grpo/embed.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

namespace {

using testing::HasSubstr;

constexpr std::int64_t largest = std::numeric_limits<std::int64_t>::max();
const std::vector<std::int64_t> impossible = {-1, std::numeric_limits<std::int64_t>::min(), largest, largest / 8};

// The status and the text of a call.
struct Said {
  char text[4096] = "";
  grpo_embed_error error{text, sizeof text, 0};
  grpo_status status = GRPO_STATUS_OK;
};
template <class Call>
Said said(const Call& call) {
  Said s;
  s.error.text = s.text;
  s.status = call(&s.error);
  s.error.text = nullptr;
  return s;
}
#define REFUSED(expression, part)                                              \
  do {                                                                         \
    const Said s = said([&](grpo_embed_error* error) { return expression; });  \
    EXPECT_EQ(s.status, GRPO_STATUS_INVALID) << #expression << ": " << s.text; \
    EXPECT_THAT(std::string(s.text), HasSubstr(part)) << #expression;          \
    EXPECT_EQ(s.error.size, static_cast<std::int64_t>(std::strlen(s.text)));   \
  } while (false)

template <class T>
T grown() {
  T t{};
  t.struct_size = sizeof t;
  return t;
}

const std::int64_t one_text_start[] = {0, 4};
const grpo_embed_texts one_text{1, "text", one_text_start, nullptr};

TEST(Edges, NothingToCloseOrFree) {
  grpo_embed_free(nullptr);
  grpo_embed_plugins_close(nullptr);
  grpo_embed_tokenizer_close(nullptr);
  grpo_embed_template_close(nullptr);
  grpo_embed_reward_close(nullptr);
  grpo_embed_objective_close(nullptr);
  grpo_embed_trainer_close(nullptr);
  grpo_embed_set_log_level(std::numeric_limits<std::int32_t>::max());
  grpo_embed_set_log_level(std::numeric_limits<std::int32_t>::min());
  grpo_embed_set_log_level(GRPO_LOG_WARNING);
}

TEST(Edges, AnErrorThatIsNotWanted) {
  EXPECT_EQ(grpo_embed_grade(nullptr, nullptr, nullptr, nullptr), GRPO_STATUS_INVALID);
  grpo_embed_error none{};
  EXPECT_EQ(grpo_embed_grade(nullptr, nullptr, nullptr, &none), GRPO_STATUS_INVALID);
  EXPECT_GT(none.size, 0);
  char small[4];
  for (const std::int64_t room : {std::int64_t{-1}, std::int64_t{0}, std::int64_t{1}, std::int64_t{4}}) {
    std::memset(small, 'x', sizeof small);
    grpo_embed_error error{small, room, 0};
    EXPECT_EQ(grpo_embed_grade(nullptr, nullptr, nullptr, &error), GRPO_STATUS_INVALID);
    EXPECT_EQ(small[0], room <= 0 ? 'x' : room == 1 ? 0 : 'g') << room;
  }
}

TEST(Edges, Plugins) {
  grpo_embed_plugins* plugins = nullptr;
  const char* const nowhere[] = {nullptr};
  REFUSED(grpo_embed_plugins_open(nowhere, 1, nullptr, error), "plugins is NULL");
  REFUSED(grpo_embed_plugins_open(nullptr, 1, &plugins, error), "places is NULL");
  REFUSED(grpo_embed_plugins_open(nowhere, 1, &plugins, error), "one of the places is NULL");
  for (const auto n : impossible) REFUSED(grpo_embed_plugins_open(nowhere, n, &plugins, error), "n is ");
  EXPECT_EQ(plugins, nullptr);
  grpo_embed_text text{"x", 1, nullptr};
  REFUSED(grpo_embed_plugins_list(nullptr, &text, error), "plugins is NULL");
  EXPECT_EQ(text.owner, nullptr);
  ASSERT_EQ(grpo_embed_plugins_open(nullptr, 0, &plugins, nullptr), GRPO_STATUS_OK);
  REFUSED(grpo_embed_plugins_list(plugins, nullptr, error), "json is NULL");
  grpo_embed_plugins_close(plugins);
}

TEST(Edges, Text) {
  grpo_embed_tokenizer* tokenizer = nullptr;
  grpo_embed_template* chat = nullptr;
  grpo_embed_text text{};
  grpo_embed_texts texts{};
  grpo_embed_ids ids{};
  REFUSED(grpo_embed_tokenizer_open(nullptr, &tokenizer, error), "path is NULL");
  REFUSED(grpo_embed_tokenizer_open(DEMO, nullptr, error), "tokenizer is NULL");
  REFUSED(grpo_embed_tokenizer_describe(nullptr, &text, error), "tokenizer is NULL");
  REFUSED(grpo_embed_encode(nullptr, &one_text, 0, &ids, error), "tokenizer is NULL");
  REFUSED(grpo_embed_decode(nullptr, &ids, 0, &texts, error), "tokenizer is NULL");
  ASSERT_EQ(grpo_embed_tokenizer_open(DEMO, &tokenizer, nullptr), GRPO_STATUS_OK);
  REFUSED(grpo_embed_tokenizer_describe(tokenizer, nullptr, error), "json is NULL");
  REFUSED(grpo_embed_encode(tokenizer, nullptr, 0, &ids, error), "texts is NULL");
  REFUSED(grpo_embed_encode(tokenizer, &one_text, 0, nullptr, error), "ids is NULL");
  REFUSED(grpo_embed_decode(tokenizer, nullptr, 0, &texts, error), "ids is NULL");
  REFUSED(grpo_embed_decode(tokenizer, &ids, 0, nullptr, error), "texts is NULL");
  for (const auto n : impossible) {
    const grpo_embed_texts many{n, "text", one_text_start, nullptr};
    REFUSED(grpo_embed_encode(tokenizer, &many, 0, &ids, error), "texts.n is ");
    const std::int32_t id = 1;
    const grpo_embed_ids lists{n, &id, one_text_start, nullptr};
    REFUSED(grpo_embed_decode(tokenizer, &lists, 0, &texts, error), "ids.n is ");
  }
  const std::int64_t falls[] = {4, 0}, negative[] = {-4, 0};
  const grpo_embed_texts no_start{1, "text", nullptr, nullptr}, falling{1, "text", falls, nullptr},
      below{1, "text", negative, nullptr}, no_data{1, nullptr, one_text_start, nullptr};
  REFUSED(grpo_embed_encode(tokenizer, &no_start, 0, &ids, error), "texts.start is NULL");
  REFUSED(grpo_embed_encode(tokenizer, &falling, 0, &ids, error), "falls at 1");
  REFUSED(grpo_embed_encode(tokenizer, &below, 0, &ids, error), "texts.start[0] is -4");
  REFUSED(grpo_embed_encode(tokenizer, &no_data, 0, &ids, error), "texts.data is NULL");
  // Ids that are not in the vocabulary.
  const std::int32_t strange[] = {-1, std::numeric_limits<std::int32_t>::max(),
                                  std::numeric_limits<std::int32_t>::min(), 5};
  const grpo_embed_ids outside{1, strange, one_text_start, nullptr};
  const Said decoded =
      said([&](grpo_embed_error* error) { return grpo_embed_decode(tokenizer, &outside, 0, &texts, error); });
  EXPECT_TRUE(decoded.status != GRPO_STATUS_OK ? decoded.error.size > 0 : texts.n == 1);
  grpo_embed_free(texts.owner);
  EXPECT_EQ(ids.owner, nullptr);
  grpo_embed_tokenizer_close(tokenizer);

  REFUSED(grpo_embed_template_open(nullptr, nullptr, &chat, error), "give the directory");
  REFUSED(grpo_embed_template_open(DEMO, "x", &chat, error), "give the directory");
  REFUSED(grpo_embed_template_open(nullptr, "x", nullptr, error), "chat is NULL");
  REFUSED(grpo_embed_render(nullptr, "[]", nullptr, nullptr, 0, &text, error), "chat is NULL");
  ASSERT_EQ(grpo_embed_template_open(nullptr, "{{ messages | length }}", &chat, nullptr), GRPO_STATUS_OK);
  REFUSED(grpo_embed_render(chat, nullptr, nullptr, nullptr, 0, &text, error), "messages is NULL");
  REFUSED(grpo_embed_render(chat, "[]", nullptr, nullptr, 0, nullptr, error), "text is NULL");
  REFUSED(grpo_embed_render(chat, "{", nullptr, nullptr, 0, &text, error), "messages is not JSON");
  const std::string deep(2'000'000, '[');
  REFUSED(grpo_embed_render(chat, deep.c_str(), nullptr, nullptr, 0, &text, error), "messages nests deeper than 256");
  grpo_embed_template_close(chat);
}

TEST(Edges, Answers) {
  grpo_embed_texts answers{};
  std::int32_t equal = 0;
  REFUSED(grpo_embed_extract(nullptr, 0, &answers, nullptr, error), "texts is NULL");
  REFUSED(grpo_embed_extract(&one_text, 0, nullptr, nullptr, error), "answers is NULL");
  REFUSED(grpo_embed_grade(nullptr, &one_text, &equal, error), "gold is NULL");
  REFUSED(grpo_embed_grade(&one_text, nullptr, &equal, error), "answers is NULL");
  REFUSED(grpo_embed_grade(&one_text, &one_text, nullptr, error), "equal is NULL");
  for (const auto n : impossible) {
    const grpo_embed_texts many{n, "text", one_text_start, nullptr};
    REFUSED(grpo_embed_extract(&many, 0, &answers, nullptr, error), "texts.n is ");
    REFUSED(grpo_embed_grade(&many, &many, &equal, error), "gold.n is ");
  }
}

class Rewards : public testing::Test {
 protected:
  void SetUp() override {
    const char* const places[] = {GRPO_PLUGIN_DIR};
    ASSERT_EQ(grpo_embed_plugins_open(places, 1, &plugins_, nullptr), GRPO_STATUS_OK);
    auto wanted = grown<grpo_embed_reward_wanted>();
    wanted.name = "math";
    ASSERT_EQ(grpo_embed_reward_open(plugins_, &wanted, &math_, nullptr), GRPO_STATUS_OK);
    batch_ = grown<grpo_embed_batch>();
    batch_.n_rows = batch_.n_samples = 1;
    batch_.completion = batch_.ground_truth = &one_text;
    scores_ = grown<grpo_embed_scores>();
    scores_.score = &score_;
  }
  void TearDown() override {
    grpo_embed_reward_close(math_);
    grpo_embed_plugins_close(plugins_);
  }
  grpo_status score(grpo_embed_error* error) { return grpo_embed_reward_score(math_, &batch_, &scores_, error); }
  grpo_embed_plugins* plugins_ = nullptr;
  grpo_embed_reward* math_ = nullptr;
  grpo_embed_batch batch_;
  grpo_embed_scores scores_;
  double score_ = 0;
};

TEST_F(Rewards, Opening) {
  grpo_embed_reward* reward = nullptr;
  auto wanted = grown<grpo_embed_reward_wanted>();
  REFUSED(grpo_embed_reward_open(plugins_, &wanted, &reward, error), "wanted.name is NULL");
  wanted.name = "math";
  REFUSED(grpo_embed_reward_open(nullptr, &wanted, &reward, error), "plugins is NULL");
  REFUSED(grpo_embed_reward_open(plugins_, nullptr, &reward, error), "is NULL");
  REFUSED(grpo_embed_reward_open(plugins_, &wanted, nullptr, error), "reward is NULL");
  for (const char* wrong : {"[]", "3", "\"x\"", "{"}) {
    wanted.options = wrong;
    REFUSED(grpo_embed_reward_open(plugins_, &wanted, &reward, error), "wanted.options is not ");
    wanted.options = nullptr;
    wanted.settings = wrong;
    REFUSED(grpo_embed_reward_open(plugins_, &wanted, &reward, error), "wanted.settings is not ");
    wanted.settings = nullptr;
  }
  const std::string deep = "{\"x\": " + std::string(1'000'000, '[');
  wanted.options = deep.c_str();
  REFUSED(grpo_embed_reward_open(plugins_, &wanted, &reward, error), "wanted.options nests deeper");
  wanted.options = nullptr;
  // Values of a wrong type, or without sense: the key is named.
  for (const auto& [settings, part] :
       std::vector<std::pair<const char*, const char*>>{{R"({"record": 5})", "math.record"},
                                                        {R"({"timeout": -1})", "math.timeout"},
                                                        {R"({"timeout": "long"})", "math.timeout"},
                                                        {R"({"isolate": 3})", "math.isolate"},
                                                        {R"({"weight": [1]})", "math.weight"},
                                                        {R"({"check_plugins": 7})", "check_plugins"},
                                                        {R"({"timeout_secs": 1})", "timeout_secs"},
                                                        {R"({"plugin": "other"})", "plugin"}}) {
    wanted.settings = settings;
    const Said s =
        said([&](grpo_embed_error* error) { return grpo_embed_reward_open(plugins_, &wanted, &reward, error); });
    EXPECT_NE(s.status, GRPO_STATUS_OK) << settings;
    EXPECT_THAT(std::string(s.text), HasSubstr(part)) << settings;
    EXPECT_EQ(reward, nullptr) << settings;
  }
  wanted.settings = R"({"timeout": 1e30})";
  ASSERT_EQ(grpo_embed_reward_open(plugins_, &wanted, &reward, nullptr), GRPO_STATUS_OK);
  EXPECT_EQ(grpo_embed_reward_score(reward, &batch_, &scores_, nullptr), GRPO_STATUS_OK);
  grpo_embed_reward_close(reward);
}

TEST_F(Rewards, Null) {
  grpo_embed_text json{};
  REFUSED(grpo_embed_reward_describe(nullptr, &json, error), "reward is NULL");
  REFUSED(grpo_embed_reward_describe(math_, nullptr, error), "json is NULL");
  REFUSED(grpo_embed_reward_score(nullptr, &batch_, &scores_, error), "reward is NULL");
  REFUSED(grpo_embed_reward_score(math_, nullptr, &scores_, error), "is NULL");
  REFUSED(grpo_embed_reward_score(math_, &batch_, nullptr, error), "is NULL");
  batch_.completion = nullptr;
  REFUSED(score(error), "batch.completion is NULL");
  batch_.completion = &one_text;
  scores_.score = nullptr;
  REFUSED(score(error), "scores.score is NULL");
}

TEST_F(Rewards, Counts) {
  for (const auto n : impossible) {
    for (std::int64_t* count : {&batch_.n_rows, &batch_.n_samples, &batch_.n_columns}) {
      const auto before = *count;
      *count = n;
      REFUSED(score(error), "batch.n_");
      *count = before;
    }
    const grpo_embed_texts many{n, "text", one_text_start, nullptr};
    for (const grpo_embed_texts** list : {&batch_.completion, &batch_.ground_truth, &batch_.prompt, &batch_.messages}) {
      const auto* before = *list;
      *list = &many;
      REFUSED(score(error), ".n is ");
      *list = before;
    }
    const std::int64_t row = n;
    batch_.row = &row;
    REFUSED(score(error), "batch.row[0] is ");
    batch_.row = nullptr;
  }
  batch_.n_rows = std::int64_t{1} << 39;  // would be made one by one
  batch_.ground_truth = nullptr;
  REFUSED(score(error), "no row has anything in it");
  batch_.n_rows = 1;
  const std::int32_t finish = 99;
  batch_.finish = &finish;
  REFUSED(score(error), "batch.finish[0] is 99");
  batch_.finish = nullptr;
  batch_.timeout_ns = -1;
  REFUSED(score(error), "timeout_ns");
  for (const std::int64_t limit : {largest, largest - 1}) {
    batch_.timeout_ns = limit;
    EXPECT_EQ(score(nullptr), GRPO_STATUS_OK) << limit;
  }
}

TEST_F(Rewards, Columns) {
  auto column = grown<grpo_embed_column>();
  const grpo_embed_column* columns[] = {nullptr, &column};
  batch_.n_columns = 1;
  REFUSED(score(error), "batch.columns is NULL");
  batch_.columns = columns;
  REFUSED(score(error), "is NULL");
  columns[0] = &column;
  REFUSED(score(error), "a column's name is NULL");
  column.name = "level";
  for (const std::int32_t type : {0, 5, -1}) {
    column.type = type;
    REFUSED(score(error), "its type is ");
  }
  for (const std::int32_t type : {GRPO_COLUMN_TEXT, GRPO_COLUMN_JSON, GRPO_COLUMN_INTEGER, GRPO_COLUMN_NUMBER}) {
    column.type = type;
    REFUSED(score(error), "NULL");
  }
  const std::string deep(1'000'000, '[');
  const std::int64_t start[] = {0, static_cast<std::int64_t>(deep.size())};
  const grpo_embed_texts json{1, deep.data(), start, nullptr};
  column.type = GRPO_COLUMN_JSON;
  column.text = &json;
  REFUSED(score(error), "the column \"level\", row 0, nests deeper");
  const std::int64_t level = 3;
  column.type = GRPO_COLUMN_INTEGER;
  column.integer = &level;
  batch_.n_columns = 2;
  REFUSED(score(error), "two columns are called \"level\"");
}

TEST(Edges, Advantages) {
  const double reward = 1;
  double advantage = 0;
  const std::int64_t start[] = {0, 1}, beyond[] = {0, 5}, falls[] = {1, 0}, below[] = {-3, 1};
  REFUSED(grpo_embed_advantages(nullptr, 1, &reward, 1, start, 1e-4, &advantage, nullptr, error), "kind is NULL");
  REFUSED(grpo_embed_advantages("group", 1, nullptr, 1, start, 1e-4, &advantage, nullptr, error), "rewards is NULL");
  REFUSED(grpo_embed_advantages("group", 1, &reward, 1, start, 1e-4, nullptr, nullptr, error), "advantages is NULL");
  REFUSED(grpo_embed_advantages("group", 1, &reward, 1, nullptr, 1e-4, &advantage, nullptr, error),
          "group_start is NULL");
  for (const auto n : impossible) {
    REFUSED(grpo_embed_advantages("group", n, &reward, 1, start, 1e-4, &advantage, nullptr, error), "n_samples is ");
    REFUSED(grpo_embed_advantages("group", 1, &reward, n, start, 1e-4, &advantage, nullptr, error), "n_groups is ");
  }
  for (const std::int64_t* wrong : {beyond, falls, below}) {
    const Said s = said([&](grpo_embed_error* error) {
      return grpo_embed_advantages("group", 1, &reward, 1, wrong, 1e-4, &advantage, nullptr, error);
    });
    EXPECT_NE(s.status, GRPO_STATUS_OK);
    EXPECT_GT(s.error.size, 0);
  }
  for (const double epsilon : {std::nan(""), -1.0, HUGE_VAL}) {
    const Said s = said([&](grpo_embed_error* error) {
      return grpo_embed_advantages("group", 1, &reward, 1, start, epsilon, &advantage, nullptr, error);
    });
    EXPECT_TRUE(s.status == GRPO_STATUS_OK || s.error.size > 0) << epsilon;
  }
}

TEST(Edges, Objective) {
  grpo_embed_objective* objective = nullptr;
  REFUSED(grpo_embed_objective_open(nullptr, nullptr, error), "objective is NULL");
  REFUSED(grpo_embed_objective_open("[]", &objective, error), "options is not a JSON object");
  const std::string deep = "{\"objective\": " + std::string(1'000'000, '[');
  REFUSED(grpo_embed_objective_open(deep.c_str(), &objective, error), "options nests deeper");
  ASSERT_EQ(grpo_embed_objective_open(nullptr, &objective, nullptr), GRPO_STATUS_OK);
  const std::int64_t start[] = {0, 1}, falls[] = {0, -1}, later[] = {1, 2}, huge[] = {0, largest};
  const float logprob = -1;
  const double advantage = 1;
  double loss = 0;
  auto tokens = grown<grpo_embed_tokens>();
  tokens.n_rows = 1, tokens.start = start, tokens.logprob = &logprob, tokens.advantage = &advantage;
  auto gradient = grown<grpo_embed_gradient>();
  gradient.loss = &loss;
  const auto evaluate = [&](grpo_embed_error* error) {
    return grpo_embed_objective_evaluate(objective, &tokens, &gradient, error);
  };
  EXPECT_EQ(evaluate(nullptr), GRPO_STATUS_OK);
  REFUSED(grpo_embed_objective_evaluate(nullptr, &tokens, &gradient, error), "objective is NULL");
  REFUSED(grpo_embed_objective_evaluate(objective, nullptr, &gradient, error), "is NULL");
  REFUSED(grpo_embed_objective_evaluate(objective, &tokens, nullptr, error), "is NULL");
  for (const auto n : impossible) {
    tokens.n_rows = n;
    REFUSED(evaluate(error), "tokens.n_rows is ");
  }
  tokens.n_rows = 1;
  for (const std::int64_t* wrong : {falls, later, huge, static_cast<const std::int64_t*>(nullptr)}) {
    tokens.start = wrong;
    REFUSED(evaluate(error), "tokens.start");
  }
  tokens.start = start;
  tokens.logprob = nullptr;
  REFUSED(evaluate(error), "tokens.logprob is NULL");
  tokens.logprob = &logprob;
  tokens.advantage = nullptr;
  REFUSED(evaluate(error), "are both NULL");
  tokens.advantage = &advantage;
  gradient.loss = nullptr;
  REFUSED(evaluate(error), "gradient.loss is NULL");
  grpo_embed_objective_close(objective);

  grpo_embed_text json{};
  REFUSED(grpo_embed_objective_row(nullptr, &json, error), "row is NULL");
  REFUSED(grpo_embed_objective_row("{}", nullptr, error), "json is NULL");
  REFUSED(grpo_embed_objective_row("[", &json, error), "row is not JSON");
}

TEST(Edges, Trainer) {
  grpo_embed_trainer* trainer = nullptr;
  grpo_embed_text text{};
  auto wanted = grown<grpo_embed_trainer_wanted>();
  REFUSED(grpo_embed_trainer_open(nullptr, &trainer, error), "is NULL");
  REFUSED(grpo_embed_trainer_open(&wanted, nullptr, error), "trainer is NULL");
  REFUSED(grpo_embed_trainer_step(nullptr, &text, error), "trainer is NULL");
  REFUSED(grpo_embed_trainer_save(nullptr, &text, error), "trainer is NULL");
  REFUSED(grpo_embed_trainer_describe(nullptr, &text, error), "trainer is NULL");
  const char* const nothing[] = {nullptr};
  for (const auto n : impossible) {
    wanted.n_overrides = n, wanted.overrides = nothing;
    REFUSED(grpo_embed_trainer_open(&wanted, &trainer, error), "the number of overrides is ");
    wanted.n_overrides = 0;
    wanted.n_places = n, wanted.places = nothing;
    REFUSED(grpo_embed_trainer_open(&wanted, &trainer, error), "the number of places is ");
    wanted.n_places = 0;
  }
  wanted.n_overrides = 1, wanted.overrides = nullptr;
  REFUSED(grpo_embed_trainer_open(&wanted, &trainer, error), "overrides is NULL");
  wanted.overrides = nothing;
  REFUSED(grpo_embed_trainer_open(&wanted, &trainer, error), "overrides is NULL");
  wanted.n_overrides = 0;
  wanted.stage = "evaluate";
  REFUSED(grpo_embed_trainer_open(&wanted, &trainer, error), "wanted.stage is \"evaluate\"");
  wanted.stage = nullptr;
  wanted.config_path = "a", wanted.config_text = "b";
  REFUSED(grpo_embed_trainer_open(&wanted, &trainer, error), "which is it?");
  EXPECT_EQ(trainer, nullptr);
}

}  // namespace
