/* Tokenizers, chat templates, answers. */
#include "check.h"

static void test_tokenizer(const char* model) {
  grpo_embed_tokenizer* tokenizer;
  grpo_embed_text json = {0};
  grpo_embed_ids ids = {0};
  grpo_embed_texts back = {0};
  char data[64];
  int64_t start[4];
  const char* const given[] = {"12+34=", "", "7"};
  const grpo_embed_texts texts = texts_of(3, given, data, start);

  NEED(grpo_embed_tokenizer_open(model, &tokenizer, &error));
  NEED(grpo_embed_tokenizer_describe(tokenizer, &json, &error));
  CHECK(strstr(json.data, "\"vocabulary_size\":") != NULL && json.data[json.size] == 0);
  grpo_embed_free(json.owner);

  NEED(grpo_embed_encode(tokenizer, &texts, 0, &ids, &error));
  CHECK(ids.n == 3 && ids.start[3] == 7 && ids.start[2] == ids.start[1]);
  NEED(grpo_embed_decode(tokenizer, &ids, GRPO_EMBED_SKIP_SPECIAL, &back, &error));
  for (int i = 0; i < 3; ++i) CHECK(is_text(&back, i, given[i]));
  grpo_embed_free(back.owner);
  grpo_embed_free(ids.owner);

  const int64_t falling[] = {0, 4, 2};
  const grpo_embed_texts wrong = {2, data, falling, NULL};
  FAILS(grpo_embed_encode(tokenizer, &wrong, 0, &ids, &error), GRPO_STATUS_INVALID, "texts.start falls at 2");
  CHECK(ids.owner == NULL && ids.n == 0); /* a failure leaves nothing to free */
  FAILS(grpo_embed_encode(tokenizer, &texts, 64, &ids, &error), GRPO_STATUS_UNSUPPORTED, "flags 64");
  grpo_embed_tokenizer_close(tokenizer);
}

static void test_template(void) {
  grpo_embed_template* chat;
  grpo_embed_text text = {0};
  NEED(grpo_embed_template_open(NULL,
                                "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
                                "{% if add_generation_prompt %}<assistant>{{ mood }}{% endif %}",
                                &chat, &error));
  NEED(grpo_embed_render(chat, "[{\"role\": \"user\", \"content\": \"2+2?\"}]", NULL, "{\"mood\": \"calm\"}", 1, &text,
                         &error));
  CHECK(!strcmp(text.data, "<user>2+2?<assistant>calm"));
  grpo_embed_free(text.owner);
  FAILS(grpo_embed_render(chat, "[{", NULL, NULL, 0, &text, &error), GRPO_STATUS_INVALID, "messages is not JSON");
  static char deep[200001]; /* to walk it would overflow the stack */
  memset(deep, '[', 100000);
  memset(deep + 100000, ']', 100000);
  FAILS(grpo_embed_render(chat, deep, NULL, NULL, 0, &text, &error), GRPO_STATUS_INVALID, "messages nests deeper");
  grpo_embed_template_close(chat);
  FAILS(grpo_embed_template_open(NULL, NULL, &chat, &error), GRPO_STATUS_INVALID, "NULL for the other");
  FAILS(grpo_embed_template_open(NULL, "{% for %}", &chat, &error), GRPO_STATUS_FAILED, "chat_template");
}

static void test_answers(void) {
  char data[128], gold_data[64];
  int64_t start[4], gold_start[4];
  const char* const said[] = {"so it is \\boxed{\\frac{3}{4}}.", "I do not know", "#### 1,200"};
  const char* const records[] = {"0.75", "#### 7", "a b c\n#### 1200"};
  const grpo_embed_texts completions = texts_of(3, said, data, start),
                         truth = texts_of(3, records, gold_data, gold_start);
  grpo_embed_texts answers = {0}, gold = {0};
  int32_t form[3], equal[3];
  NEED(grpo_embed_extract(&completions, 0, &answers, form, &error));
  NEED(grpo_embed_extract(&truth, GRPO_EMBED_GOLD, &gold, NULL, &error));
  CHECK(form[0] == GRPO_EMBED_FORM_BOXED && form[1] == GRPO_EMBED_FORM_NONE && form[2] == GRPO_EMBED_FORM_HASHES);
  CHECK(is_text(&answers, 0, "\\frac{3}{4}") && is_text(&answers, 1, "") && is_text(&gold, 1, "7"));
  NEED(grpo_embed_grade(&gold, &answers, equal, &error));
  CHECK(equal[0] == 1 && equal[1] == 0 && equal[2] == 1);
  grpo_embed_texts two = answers;
  two.n = 2;
  FAILS(grpo_embed_grade(&gold, &two, equal, &error), GRPO_STATUS_INVALID, "3 gold answers, but 2");
  grpo_embed_free(answers.owner);
  grpo_embed_free(gold.owner);
}

void test_text(const char* model) {
  test_tokenizer(model);
  test_template();
  test_answers();
}
